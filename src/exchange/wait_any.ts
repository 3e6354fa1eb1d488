import { type Waitable, type WaitSource, waitSource } from "../sync/wait_source.ts";
import { MAX_WAITS, waitForAny, waitForAnySync } from "../sync/waiting_for_any.ts";
import type { SyncWaitOptions, WaitOptions } from "../sync/waiting.ts";
import { inWords } from "../xpc/in_words.ts";
import { Region } from "./region.ts";

/** A region to wait for, together with the revision that is known. */
export interface RegionAfter {
  /** The region. */
  readonly region: Region;
  /** Only revisions other than this one count. */
  readonly after: number;
}

function sourceOf(item: Waitable | RegionAfter, index: number): WaitSource {
  if (typeof item === "object" && item !== null) {
    if (waitSource in item) return item[waitSource]();
    if (item.region instanceof Region) return item.region[waitSource](item.after);
  }
  throw new TypeError(
    `Cannot wait for ${
      inWords(item)
    }, item ${index}: it is a lock, an event, a region, a stream's reader, a channel, ` +
      `or { region, after }`,
  );
}

function sourcesOf(items: readonly (Waitable | RegionAfter)[]): WaitSource[] {
  if (!Array.isArray(items)) {
    throw new TypeError(`Cannot wait for one of ${inWords(items)}: the things to wait for are in an array`);
  }
  if (items.length < 1 || items.length > MAX_WAITS) {
    throw new RangeError(`Cannot wait for one of ${items.length} things: 1 to ${MAX_WAITS} are possible`);
  }
  return items.map(sourceOf);
}

/**
 * Waits until one of several things is ready, without blocking the event loop, and takes that one: the first in the order
 * of the list, and no other.
 *
 * | what | is ready | is taken |
 * | --- | --- | --- |
 * | a mutex, `rwlock.reading`, `rwlock.writing`, a semaphore | when it can be had | it is held: `adopt()` gives the guard |
 * | an event that resets itself | when it is set | it is reset |
 * | an event that is reset by hand | while it is set | nothing |
 * | a region | at a revision other than the last one that was told | that revision is told |
 * | `{ region, after }` | at a revision other than `after` | nothing |
 * | a stream's reader | when there is a newer frame than the one taken last | nothing: `latest()` leases it |
 * | a channel | when there is a message | nothing: `receive()` gives it |
 *
 * A channel that has ended is ready while messages are left; then the wait fails. With a stream that was replaced it fails
 * with an `InvalidStateError`: `await follow()` maps the new one.
 *
 * What is taken and never adopted is held until the lock is closed. When the wait fails, nothing is taken.
 *
 * @param items what to wait for, 1 to 64 things, also of several services
 * @param options how long to wait
 * @returns the index of what was ready
 * @throws {DOMException} `TimeoutError` if nothing is ready in time
 * @throws {PeerGoneError} if the server of one of them is gone
 * @throws {DOMException} `InvalidStateError` if a stream was replaced
 * @throws {TypeError} if one of them is closed, or is nothing to wait for
 * @throws {RangeError} if there are too many
 * @throws the signal's reason, if it aborts first
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { connect, serve, waitAny } from "@xpc/shmem";
 *
 * await using server = await serve("com.example.any", {
 *   regions: { scene: { byteLength: 4096 } },
 *   locks: { ready: { event: "manual" }, device: "mutex" },
 * });
 * await using client = await connect("com.example.any");
 * const ready = await client.lock("ready", "manual");
 * const device = await client.lock("device", "mutex");
 * const scene = await client.open("scene");
 *
 * const index = await waitAny([ready, scene, device], { timeout: 1000 });
 * assert(index === 2 && device.held);
 * device.adopt().unlock();
 * ```
 */
export async function waitAny(
  items: readonly (Waitable | RegionAfter)[],
  options: WaitOptions = {},
): Promise<number> {
  return await waitForAny(sourcesOf(items), options);
}

/**
 * As {@linkcode waitAny}, and blocks this thread: for workers.
 *
 * @param items what to wait for, 1 to 64 things, also of several services
 * @param options how long to spin and to wait
 * @returns the index of what was ready
 * @throws {DOMException} `TimeoutError` if nothing is ready in time
 * @throws {PeerGoneError} if the server of one of them is gone
 * @throws {TypeError} if one of them is closed, or is nothing to wait for
 * @throws {RangeError} if there are too many
 */
export function waitAnySync(
  items: readonly (Waitable | RegionAfter)[],
  options: SyncWaitOptions = {},
): number {
  return waitForAnySync(sourcesOf(items), options);
}
