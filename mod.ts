/**
 * Fast shared memory between two apps: one app writes, the other reads, and nothing is copied in between. On macOS the
 * apps find each other over XPC, on Linux over a libxpc that comes with the package. The API is the same on both.
 *
 * One app calls {@linkcode serve}, the other {@linkcode connect}. Either may start first, die and come back. Two equal
 * apps call {@linkcode join}: the first one serves, and with `takeOver` another one serves on when it is gone. The program needs `--allow-ffi`, without a path. On macOS each user
 * installs a launch agent once: `deno run -A jsr:@xpc/shmem/agent install`.
 *
 * A server makes regions. A {@linkcode WritableRegion} has views that write; a {@linkcode ReadableRegion} has views that
 * only read. Both take a {@linkcode layout} too, which names the fields of a structure. Each has revisions
 * ({@linkcode Region.changes}) and, where its clients may write, a {@linkcode Mutex}. A service may have locks of its own,
 * too: see {@linkcode Lock}.
 * Where the writer must never wait for a reader, it serves a stream: a {@linkcode StreamWriter} loans slots that nobody
 * reads and publishes frames; a {@linkcode StreamReader} leases them. For many small messages it serves a
 * {@linkcode Channel}, which is a pair of rings for each client.
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
 * | `OpenFileMapping` | {@linkcode connect} (at once: `wait: false`), {@linkcode Client.open} |
 * | a mapping lives while anyone has a handle | {@linkcode serve} with `adopt`, {@linkcode join} with `takeOver` |
 * | `MapViewOfFile` | `region.view(Float32Array, byteOffset, length)` |
 * | `UnmapViewOfFile`, `CloseHandle` | `region.close()`, or `await using` |
 * | `CreateMutex`, `WaitForSingleObject`, `WAIT_ABANDONED` | `region.mutex.lock({ timeout })`, `guard.abandoned` |
 * | `ReleaseMutex` | `guard.unlock()`, or `using` |
 * | `SetEvent`, `WaitForSingleObject` | `region.commit()`, `region.changes()`, `region.waitSync()` |
 * | `WM_COPYDATA`, a named pipe beside the mapping | {@linkcode Client.request}, {@linkcode Client.send}, {@linkcode Server.peers}, {@linkcode Client.channel} |
 * | looking for a mapping by its name | {@linkcode exists}, {@linkcode list}, {@linkcode watch} |
 * | `CreateMutex`, apart from any memory | `locks: { device: "mutex" }`, {@linkcode Client.lock} |
 * | `CreateSemaphore`, `ReleaseSemaphore` | `{ semaphore: 4 }`, {@linkcode Semaphore.acquire}, `guard.unlock()` |
 * | `CreateEvent`, `SetEvent`, `ResetEvent` | `{ event: "manual" }` or `"auto"`, {@linkcode LockEvent.set}, {@linkcode LockEvent.reset} |
 * | `SRWLOCK`, which is for one process | `"rwlock"`, {@linkcode RwLock.read}, {@linkcode RwLock.write} |
 * | `WaitForMultipleObjects` | {@linkcode waitAny}, {@linkcode waitAnySync} |
 * | several mappings by turns, so that nobody waits | {@linkcode Server.stream}, {@linkcode Client.stream} |
 *
 * @module
 */
export type { ReadOnlyView, ViewConstructor } from "./src/memory/mod.ts";
export { layout } from "./src/layout/layout.ts";
export type {
  FieldType,
  FieldValue,
  Layout,
  LayoutArrays,
  LayoutFields,
  LayoutScalar,
  LayoutView,
  ReadOnlyFieldValue,
  ReadOnlyLayoutView,
} from "./src/layout/types.ts";
export type { BrokerSelection } from "./src/broker/broker_client.ts";
export type { EventSpec, LockKind, LockSpec, SemaphoreSpec } from "./src/link/lock_spec.ts";
export { AutoResetEvent, LockEvent, ManualResetEvent } from "./src/exchange/events.ts";
export { Lock } from "./src/exchange/lock.ts";
export type { AnyLock, LockKinds } from "./src/exchange/locks.ts";
export { MutexLock } from "./src/exchange/mutex_lock.ts";
export { type LockSide, RwLock } from "./src/exchange/rw_lock.ts";
export { Semaphore } from "./src/exchange/semaphore.ts";
export { type RegionAfter, waitAny, waitAnySync } from "./src/exchange/wait_any.ts";
export type { Waitable } from "./src/sync/wait_source.ts";
export type { RegionOptions } from "./src/link/served_region.ts";
export {
  Client,
  connect,
  type ConnectOptions,
  type LockOptions,
  type OpenOptions,
  type OpenStreamOptions,
} from "./src/service/client.ts";
export type { StreamOptions } from "./src/link/stream_options.ts";
export type { ChannelOptions } from "./src/link/channel_options.ts";
export { Channel, type ChannelMessagesOptions } from "./src/exchange/channel.ts";
export { ChannelHub } from "./src/exchange/channel_hub.ts";
export { FrameLease } from "./src/exchange/frame_lease.ts";
export { FrameLoan, type PublishOptions } from "./src/exchange/frame_loan.ts";
export { NoSlotError } from "./src/exchange/no_slot_error.ts";
export { type FrameOrder, type FrameWaitOptions, StreamReader } from "./src/exchange/stream_reader.ts";
export { type LoanAsyncOptions, type LoanOptions, StreamWriter } from "./src/exchange/stream_writer.ts";
export { exists } from "./src/service/exists.ts";
export { list, type ListOptions, type ServiceDescription } from "./src/service/list.ts";
export { type ServiceChange, ServiceChanges, watch, type WatchOptions } from "./src/service/watch.ts";
export { BrokerUnavailableError } from "./src/broker/errors.ts";
export { IncompatibleError } from "./src/link/errors.ts";
export { BacklogError, RemoteError } from "./src/link/messages_errors.ts";
export type { MessageOptions } from "./src/link/messages_outbox.ts";
export type { RegionDescription } from "./src/service/describe.ts";
export { ConnectedClient } from "./src/exchange/connected_client.ts";
export type { Messages } from "./src/exchange/messages_queue.ts";
export {
  type HandleOptions,
  type MessageRecord,
  type MessageValue,
  RegionHandle,
} from "./src/exchange/messages_values.ts";
export {
  type ClientEvents,
  ConnectEvent,
  DisconnectEvent,
  type TypedEventTarget,
} from "./src/service/events.ts";
export type { Following, FollowOptions } from "./src/service/follow.ts";
export { NameTakenError, ServiceNotFoundError } from "./src/service/errors.ts";
export { join, type JoinOptions } from "./src/service/join.ts";
export {
  Peer,
  type PeerEvents,
  type PeerRole,
  RoleChangeEvent,
  type TakeOverOptions,
} from "./src/service/peer.ts";
export type { Inheritance } from "./src/link/estate.ts";
export { attach } from "./src/exchange/attach.ts";
export type { SharedRegion } from "./src/link/sharing.ts";
export { ReadableRegion, Region, WritableRegion } from "./src/exchange/region.ts";
export type { ClientAccess } from "./src/link/linked_region.ts";
export { serve, type ServeOptions, Server } from "./src/service/server.ts";
export type { ServerHandlers } from "./src/service/server_peers.ts";
export { PeerGoneError } from "./src/sync/errors.ts";
export type { LockGuard, LockState, Mutex } from "./src/sync/mutex.ts";
export type { Change, Changes, ChangesOptions } from "./src/sync/changes.ts";
export type { ByteRange, CopiedChanges, CopyChangesOptions } from "./src/sync/tiles.ts";
export type { SyncWaitOptions, WaitOptions } from "./src/sync/waiting.ts";
