/**
 * XPC itself, for those who need messages beside shared regions: connections, listeners, endpoints and the values
 * that messages hold. On macOS it binds libxpc, on Linux the library's own.
 *
 * @example Ask another part of the program
 * ```ts
 * import { assert } from "@std/assert";
 * import { Connection, Listener } from "@xpc/shmem/xpc";
 *
 * await using listener = await Listener.anonymous(() => ({
 *   message: (message) => message.reply({ echo: message.values["text"] }),
 * }));
 * using endpoint = listener.endpoint();
 * await using connection = await Connection.toEndpoint(endpoint);
 * const { echo } = await connection.request({ text: "hello" });
 * assert(echo === "hello");
 * ```
 *
 * @module
 */
export {
  Connection,
  type ConnectionHandlers,
  type ConnectionOptions,
  type RequestOptions,
} from "./connection.ts";
export { Endpoint } from "./endpoint.ts";
export { ConnectionError, type ConnectionErrorKind } from "./errors.ts";
export { FileDescriptor } from "./file_descriptor.ts";
export { IncomingMessage } from "./incoming_message.ts";
export { Int64 } from "./int64.ts";
export { type AcceptHandler, Listener, type ListenerOptions } from "./listener.ts";
export type { PeerCredentials } from "./_link.ts";
export { SharedMemory } from "./shared_memory.ts";
export { Uuid } from "./uuid.ts";
export {
  disposeValue,
  MAX_MESSAGE_ELEMENTS,
  MAXIMUM_DEPTH,
  MAXIMUM_MESSAGE_BYTES,
  type XpcRecord,
  type XpcValue,
} from "./values.ts";
