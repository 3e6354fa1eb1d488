import type { Library } from "../../ffi/load.ts";
import type { XpcObject } from "../../ffi/types.ts";
import { decode } from "./decode.ts";
import { fill } from "./encode.ts";
import type { Link, PeerCredentials } from "./_link.ts";
import { ConnectionError } from "./errors.ts";
import { disposeValue, type XpcRecord, type XpcValue } from "./values.ts";

interface Reply {
  readonly library: Library;
  readonly object: XpcObject;
}

/** Replies that nobody sent. */
const registry = new FinalizationRegistry<Reply>(({ library, object }) => library.xpc.xpc_release(object));

/**
 * A message that came over a connection.
 *
 * Descriptors, endpoints and shared memory in it belong to the handler: `using message` disposes those that
 * nobody took out of {@linkcode values}.
 */
export class IncomingMessage implements Disposable {
  /** What the message holds. Nothing in it can be trusted: check types and ranges. */
  readonly values: XpcRecord;
  readonly #library: Library;
  readonly #link: Link;
  #reply: XpcObject | null;

  /** @internal The dictionary stays the caller's. */
  constructor(library: Library, link: Link, dictionary: XpcObject) {
    this.#library = library;
    this.#link = link;
    this.values = decode(library, dictionary);
    this.#reply = library.xpc.xpc_dictionary_create_reply(dictionary);
    if (this.#reply !== null) registry.register(this, { library, object: this.#reply }, this);
  }

  /**
   * Takes a value out of the message: it belongs to the caller, and is not given up with the message.
   *
   * @param key where it stands
   * @returns the value, or `undefined` if there is none
   */
  take(key: string): XpcValue | undefined {
    const value = this.values[key];
    delete (this.values as Record<string, XpcValue | undefined>)[key];
    return value;
  }

  /** Whether the sender waits for a reply and has none yet. */
  get expectsReply(): boolean {
    return this.#reply !== null;
  }

  /** Who sent it, from the kernel. */
  get peer(): PeerCredentials {
    return this.#link.credentials;
  }

  /**
   * Replies. Where the connection is over meanwhile, nothing happens: the sender is gone.
   *
   * @param record the reply
   * @throws {ConnectionError} if no reply is awaited, or one was sent
   * @throws {TypeError} for a value that cannot be sent, naming it; the reply can be tried again
   * @throws {RangeError} for one that is too large, too deep or out of range; likewise
   */
  reply(record: XpcRecord): void {
    const reply = this.#reply;
    if (reply === null) throw new ConnectionError("Cannot reply: the sender awaits none, or has it", "other");
    fill(this.#library, reply, record);
    if (this.#link.open) this.#link.send(reply);
    this.#forget();
  }

  /** Disposes what the message holds, and the reply if none was sent. */
  [Symbol.dispose](): void {
    disposeValue(this.values);
    this.#forget();
  }

  #forget(): void {
    if (this.#reply === null) return;
    registry.unregister(this);
    this.#library.xpc.xpc_release(this.#reply);
    this.#reply = null;
  }
}
