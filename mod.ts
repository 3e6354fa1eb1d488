/**
 * Fast shared memory between two apps: one app writes, the other reads, and nothing is copied in between. On macOS the
 * apps find each other over XPC, on Linux over a libxpc that comes with the package. The API is the same on both.
 *
 * One app calls {@linkcode serve}, the other {@linkcode connect}. Either may start first, die and come back. Two equal
 * apps call {@linkcode join}: the first one serves. The program needs `--allow-ffi`, without a path. On macOS each user
 * installs a launch agent once: `deno run -A jsr:@xpc/shmem/agent install`.
 *
 * A server makes regions. A {@linkcode WritableRegion} has views that write; a {@linkcode ReadableRegion} has views that
 * only read. Each has revisions ({@linkcode Region.changes}) and, where its clients may write, a {@linkcode Mutex}.
 * Where the writer must never wait for a reader, it serves a stream: a {@linkcode StreamWriter} loans slots that nobody
 * reads and publishes frames; a {@linkcode StreamReader} leases them.
 *
 * @example The server writes
 * ```ts
 * import { serve } from "@xpc/shmem";
 *
 * await using studio = await serve("com.example.studio", {
 *   regions: {
 *     frame: { byteLength: 100 * 2 ** 20 }, // clients may write it
 *     mask: { byteLength: 100 * 2 ** 20, clients: "read" }, // the kernel refuses their writes
 *   },
 * });
 * const frame = studio.region("frame");
 * {
 *   using _ = await frame.mutex.lock();
 *   frame.view(Float32Array)[0] = 0.5;
 * }
 * frame.commit(); // makes a new revision and wakes the readers
 * ```
 *
 * @example The client reads
 * ```ts ignore
 * import { connect } from "@xpc/shmem";
 *
 * await using studio = await connect("com.example.studio", { signal: AbortSignal.timeout(10_000) });
 * const frame = await studio.open("frame");
 * for await (const { revision } of frame.changes()) {
 *   using guard = await frame.mutex.lock(); // guard.abandoned: the previous holder died
 *   if (!guard.abandoned) console.log(revision, frame.view(Float32Array)[0]);
 * }
 * ```
 *
 * @example A writer that never waits
 * ```ts
 * import { connect, serve } from "@xpc/shmem";
 *
 * await using studio = await serve("com.example.video", { streams: { video: { byteLength: 1920 * 1080 * 4 } } });
 * {
 *   using frame = studio.stream("video").loan(); // a slot that nobody reads, at once
 *   frame.view(Uint8Array).fill(7);
 *   frame.publish();
 * }
 *
 * await using client = await connect("com.example.video"); // in the other app
 * for await (using frame of await client.stream("video")) { // each newest frame, in place
 *   console.log(frame.sequence, frame.dropped, frame.view(Uint8Array)[0]);
 *   break;
 * }
 * ```
 *
 * | On Windows | Here |
 * | --- | --- |
 * | `CreateFileMapping` | {@linkcode serve}, {@linkcode Server.add} |
 * | `OpenFileMapping` | {@linkcode connect}, {@linkcode Client.open} |
 * | `MapViewOfFile` | `region.view(Float32Array, byteOffset, length)` |
 * | `UnmapViewOfFile`, `CloseHandle` | `region.close()`, or `await using` |
 * | `CreateMutex`, `WaitForSingleObject`, `WAIT_ABANDONED` | `region.mutex.lock({ timeout })`, `guard.abandoned` |
 * | `ReleaseMutex` | `guard.unlock()`, or `using` |
 * | `SetEvent`, `WaitForSingleObject` | `region.commit()`, `region.changes()`, `region.waitSync()` |
 *
 * @module
 */
export type { ReadOnlyView, ViewConstructor } from "./src/memory/mod.ts";
export type { BrokerSelection } from "./src/broker/broker_client.ts";
export type { RegionOptions } from "./src/link/served_region.ts";
export {
  Client,
  connect,
  type ConnectOptions,
  type OpenOptions,
  type OpenStreamOptions,
} from "./src/service/client.ts";
export type { StreamOptions } from "./src/link/stream_options.ts";
export { FrameLease } from "./src/exchange/frame_lease.ts";
export { FrameLoan, type PublishOptions } from "./src/exchange/frame_loan.ts";
export { NoSlotError } from "./src/exchange/no_slot_error.ts";
export { type FrameOrder, type FrameWaitOptions, StreamReader } from "./src/exchange/stream_reader.ts";
export { type LoanAsyncOptions, type LoanOptions, StreamWriter } from "./src/exchange/stream_writer.ts";
export { BrokerUnavailableError } from "./src/broker/errors.ts";
export { IncompatibleError } from "./src/link/errors.ts";
export { NameTakenError } from "./src/service/errors.ts";
export { join, type JoinOptions } from "./src/service/join.ts";
export { ReadableRegion, Region, WritableRegion } from "./src/exchange/region.ts";
export type { ClientAccess } from "./src/link/linked_region.ts";
export { serve, type ServeOptions, Server } from "./src/service/server.ts";
export { PeerGoneError } from "./src/sync/errors.ts";
export type { LockGuard, Mutex } from "./src/sync/mutex.ts";
export type { Change, Changes, ChangesOptions } from "./src/sync/changes.ts";
export type { SyncWaitOptions, WaitOptions } from "./src/sync/waiting.ts";
