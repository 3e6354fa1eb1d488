import { cString } from "../../ffi/memory.ts";
import type { ShimLink, XpcObject } from "../../ffi/types.ts";
import { type Completion, ErrorCode, type EventQueue, type Sink } from "./event_queue.ts";
import { ConnectionError, type ConnectionErrorKind } from "./errors.ts";

/** The process at the other end, as the kernel tells it. */
export interface PeerCredentials {
  /** The process. Pids are used again: good for display, not for trust. */
  readonly pid: number;
  /** The effective user id. */
  readonly euid: number;
  /** The effective group id. */
  readonly egid: number;
}

/** What the owner of a link does with its events. */
export interface LinkEvents {
  message(dictionary: XpcObject): void;
  peer(link: ShimLink): void;
  /** Interrupted, or about to be terminated. */
  event(code: number): void;
  /** Called once, when the connection is over. */
  closed(error: ConnectionError): void;
}

const KINDS: Readonly<Record<number, ConnectionErrorKind>> = {
  [ErrorCode.interrupted]: "interrupted",
  [ErrorCode.invalid]: "invalid",
  [ErrorCode.requirement]: "requirement",
};

/** The one owner of a native connection: its activation, requests under way, and orderly end. */
export class Link implements Sink {
  readonly queue: EventQueue;
  readonly closed: Promise<ConnectionError>;
  readonly #handle: ShimLink;
  readonly #id: number;
  readonly #events: LinkEvents;
  readonly #requests = new Map<number, (error: ConnectionError) => void>();
  readonly #closed = Promise.withResolvers<ConnectionError>();
  #ended: Promise<void> | undefined; // set when the final event came: the teardown behind it
  #cancelled = false;
  #credentials: PeerCredentials = { pid: 0, euid: 0, egid: 0 };

  /** Takes over one use of the queue and the handle. */
  constructor(queue: EventQueue, handle: ShimLink, events: LinkEvents) {
    this.queue = queue;
    this.closed = this.#closed.promise;
    this.#handle = handle;
    this.#events = events;
    const { shim, xpc } = queue.library;
    this.#id = shim.shim_link_id(handle);
    queue.connect(this.#id, this);
    xpc.xpc_connection_set_target_queue(shim.shim_link_connection(handle), queue.target);
  }

  /** Whether messages can be sent. */
  get open(): boolean {
    return !this.#cancelled && this.#ended === undefined;
  }

  /** The connection, borrowed. */
  borrow(doing: string): XpcObject {
    if (this.#ended !== undefined) throw this.#gone(doing);
    const object = this.queue.library.shim.shim_link_connection(this.#handle);
    if (object === null) throw this.#gone(doing);
    return object;
  }

  /** Who is at the other end; zeros before that is known. Stays readable after the end. */
  get credentials(): PeerCredentials {
    if (this.#ended === undefined) {
      const { xpc, shim } = this.queue.library;
      const connection = shim.shim_link_connection(this.#handle);
      this.#credentials = {
        pid: xpc.xpc_connection_get_pid(connection),
        euid: xpc.xpc_connection_get_euid(connection),
        egid: xpc.xpc_connection_get_egid(connection),
      };
    }
    return this.#credentials;
  }

  /** Sets the code-signing requirement of the peer; before activation, once. */
  require(requirement: string): void {
    if (requirement.includes("\0")) {
      throw new TypeError("Cannot set a code-signing requirement with a NUL in it");
    }
    const result = this.queue.library.shim.shim_link_require(this.#handle, cString(requirement));
    if (result === 0) return;
    throw new TypeError(
      Deno.build.os === "darwin"
        ? `Cannot set the code-signing requirement "${requirement}": it is not valid in Apple's language`
        : `Cannot set a code-signing requirement on ${Deno.build.os}: only macOS knows them`,
    );
  }

  activate(): void {
    this.queue.library.shim.shim_link_activate(this.#handle);
  }

  /** Sends a dictionary, which stays the caller's. */
  send(dictionary: XpcObject): void {
    if (!this.open) throw this.#gone("send a message");
    this.queue.library.shim.shim_link_send(this.#handle, dictionary);
  }

  /** Sends a dictionary; `done` gets the reply, or an error, once, unless the result is called before. */
  request(
    dictionary: XpcObject,
    done: (reply: XpcObject | undefined, error: ConnectionError | undefined) => void,
  ): () => void {
    return this.#start("send a request", done, (request) => {
      return this.queue.library.shim.shim_link_request(this.#handle, dictionary, request);
    });
  }

  /** `done` is called when all that was sent has left, or with an error. */
  barrier(done: (error: ConnectionError | undefined) => void): () => void {
    return this.#start("flush a connection", (_, error) => done(error), (request) => {
      return this.queue.library.shim.shim_link_barrier(this.#handle, request);
    }, true);
  }

  #start(
    doing: string,
    done: (reply: XpcObject | undefined, error: ConnectionError | undefined) => void,
    start: (request: number) => number,
    isBarrier = false,
  ): () => void {
    if (!this.open) throw this.#gone(doing);
    const completion: Completion = (reply, code) => {
      this.#requests.delete(request);
      done(reply, reply === undefined && !isBarrier ? this.#error(doing, code) : undefined);
    };
    const request = this.queue.expect(completion);
    const result = start(request);
    if (result !== 0) {
      this.queue.forget(request);
      throw new Error(`Cannot ${doing}: error ${-result}`);
    }
    this.#requests.set(request, (error) => done(undefined, error));
    return () => {
      this.queue.forget(request);
      this.#requests.delete(request);
    };
  }

  /**
   * Has a native function called when the connection becomes invalid, on XPC's thread: also while this realm sits in
   * a synchronous wait.
   *
   * @param call a `void (*)(void *)` that is short and does not touch the connection
   * @param context what it is called with; must stay valid until the result is called
   * @returns ends that: afterwards `call` does not run any more
   */
  onDeath(call: Deno.PointerObject, context: Deno.PointerObject): () => void {
    if (this.#ended !== undefined) throw this.#gone("watch a connection");
    const { shim } = this.queue.library;
    if (shim.shim_link_on_death(this.#handle, call, context) !== 0) {
      throw new Error("Cannot watch a connection: no memory is left");
    }
    return () => {
      // The native link, and with it what it would call, is released with the final event.
      if (this.#ended === undefined) shim.shim_link_forget_death(this.#handle, context);
    };
  }

  /** Cancels the connection and waits for its end. Idempotent. */
  async close(): Promise<void> {
    if (this.#ended === undefined && !this.#cancelled) {
      this.#cancelled = true;
      this.queue.library.shim.shim_link_cancel(this.#handle);
    }
    await this.#closed.promise;
    await this.#ended;
  }

  message(dictionary: XpcObject): void {
    if (this.#cancelled) this.queue.library.xpc.xpc_release(dictionary);
    else this.#events.message(dictionary);
  }

  peer(link: ShimLink): void {
    if (this.#cancelled) {
      this.queue.library.shim.shim_link_cancel(link);
      this.queue.library.shim.shim_link_release(link);
    } else this.#events.peer(link);
  }

  error(code: number): void {
    if (code === ErrorCode.invalid) this.#tearDown();
    else if (!this.#cancelled) this.#events.event(code);
  }

  /** Releases the native connection, and fails the requests under way: the final event has come. */
  #tearDown(): void {
    const error = this.#error("go on with a connection", ErrorCode.invalid);
    void this.credentials; // read for the last time, and kept
    const { queue } = this;
    queue.disconnect(this.#id);
    queue.library.shim.shim_link_release(this.#handle);
    for (const [request, fail] of this.#requests) {
      queue.forget(request);
      fail(error);
    }
    this.#requests.clear();
    this.#ended = queue.release();
    this.#closed.resolve(error);
    this.#events.closed(error);
  }

  #gone(doing: string): ConnectionError {
    return new ConnectionError(`Cannot ${doing}: the connection is closed`, "invalid");
  }

  #error(doing: string, code: number): ConnectionError {
    const kind = KINDS[code] ?? "other";
    if (kind !== "invalid") return new ConnectionError(`Cannot ${doing}: the peer was ${kind}`, kind);
    const reason = this.#cancelled ? "it was closed here" : this.#reason();
    return new ConnectionError(`Cannot ${doing}: ${reason}`, "invalid");
  }

  #reason(): string {
    const unknown = "the peer is gone, or was never there";
    if (this.#ended !== undefined) return unknown;
    const bytes = new Uint8Array(512);
    const length = this.queue.library.shim.shim_link_reason(this.#handle, bytes, bytes.length);
    return length === 0 ? unknown : new TextDecoder().decode(bytes.subarray(0, length));
  }
}
