import type { Library } from "../../ffi/load.ts";
import type { XpcObject } from "../../ffi/types.ts";
import { HeldObject } from "./_held.ts";

/**
 * The right to connect to a {@linkcode Listener}, which can be sent to another process. Any number of connections
 * can be made from one endpoint; they end when the listener is closed.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { Connection, Listener } from "@xpc/shmem/xpc";
 *
 * await using listener = await Listener.anonymous(() => ({ message: (m) => m.reply({ hello: "you" }) }));
 * using endpoint = listener.endpoint();
 * await using connection = await Connection.toEndpoint(endpoint);
 * const reply = await connection.request({});
 * assert(reply["hello"] === "you");
 * ```
 */
export class Endpoint implements Disposable {
  /** @internal */
  readonly held: HeldObject;

  /** @internal */
  constructor(library: Library, object: XpcObject) {
    this.held = new HeldObject(library, object);
  }

  /** Releases the right. Connections that were made from it live on. */
  [Symbol.dispose](): void {
    this.held[Symbol.dispose]();
  }
}
