import { AttachedEnd } from "../link/attached_end.ts";
import type { SharedRegion } from "../link/sharing.ts";
import { ReadableRegion, WritableRegion } from "./region.ts";

/**
 * Attaches to a region that another realm of this process has: in a worker, what `region.share()` gave on the app's
 * event loop. It is the same memory, with views, mutex, revisions and waits, and there is no second connection.
 *
 * When the realm that shared the region closes it, it is closed here, too, as soon as this event loop turns; a
 * synchronous wait ends at once. Closing it here leaves it open there.
 *
 * @param message what `region.share()` gave
 * @returns the region
 * @throws {TypeError} if the region is closed, if another process shared it, or if the message is something else
 * @throws {Error} if it cannot be mapped
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { attach, serve } from "@xpc/shmem";
 *
 * await using server = await serve("com.example.attach", { regions: { frame: { byteLength: 4096 } } });
 * const frame = server.region("frame");
 * const message = frame.share(); // worker.postMessage(message)
 *
 * // In the worker: self.onmessage = async ({ data }) => { … await attach(data as SharedRegion<"write">) … }
 * await using same = await attach(structuredClone(message));
 * same.mutex.withSync(() => {
 *   same.view(Uint8Array)[0] = 1;
 *   same.commit();
 * });
 * assert(frame.revision === 1 && frame.view(Uint8Array)[0] === 1);
 * ```
 */
export function attach(message: SharedRegion<"write">): Promise<WritableRegion>;
/** Attaches to a region that may only be read. */
export function attach(message: SharedRegion<"read">): Promise<ReadableRegion>;
/** Attaches to a region of either kind. */
export function attach(message: SharedRegion): Promise<ReadableRegion | WritableRegion>;
export async function attach(message: SharedRegion): Promise<ReadableRegion | WritableRegion> {
  const { linked, access } = await AttachedEnd.attach(message);
  return access === "write" ? new WritableRegion(linked) : new ReadableRegion(linked);
}
