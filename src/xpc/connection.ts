import { cString } from "../../ffi/memory.ts";
import type { ShimLink, XpcObject } from "../../ffi/types.ts";
import { decode, MalformedMessage } from "./decode.ts";
import { encode } from "./encode.ts";
import { ErrorCode, EventQueue } from "./event_queue.ts";
import { Link, type PeerCredentials } from "./_link.ts";
import { checkServiceName } from "./service_name.ts";
import type { Endpoint } from "./endpoint.ts";
import { ConnectionError } from "./errors.ts";
import { IncomingMessage } from "./incoming_message.ts";
import { startTimer } from "./timer.ts";
import type { XpcRecord } from "./values.ts";

/** What a connection does with what comes to it. Exceptions in here are reported as uncaught errors. */
export interface ConnectionHandlers {
  /**
   * A message came. It and what it holds belong to the handler. Without this handler messages are dropped.
   */
  message?: (message: IncomingMessage) => void;
  /** The service went away; the next message starts it again. Messages that were under way may be lost. */
  interrupted?: () => void;
  /** The system is about to stop this process (macOS, launch agents). */
  terminating?: () => void;
  /** The connection is over; called once, also after `close()`. */
  closed?: (error: ConnectionError) => void;
}

/** Options of {@linkcode Connection.toService} and {@linkcode Connection.toEndpoint}. */
export interface ConnectionOptions extends ConnectionHandlers {
  /**
   * A code-signing requirement that the other side must meet, in Apple's requirement language. macOS only.
   *
   * @default {undefined}
   */
  requirement?: string | undefined;
}

/** Options of {@linkcode Connection.request}. */
export interface RequestOptions {
  /**
   * How long to wait for the reply, in milliseconds. Without it and a signal, a peer that never replies makes
   * the caller wait until the connection ends.
   *
   * @default {undefined}
   */
  timeout?: number | undefined;
  /** Gives the request up. */
  signal?: AbortSignal | undefined;
}

/**
 * A connection to another process, in messages. Either side may send; order is kept.
 *
 * @example A listener and a connection in one process
 * ```ts
 * import { assert } from "@std/assert";
 * import { Connection, Listener } from "@xpc/shmem/xpc";
 *
 * await using listener = await Listener.anonymous(() => ({
 *   message: (message) => message.reply({ sum: (message.values["a"] as number) + 1 }),
 * }));
 * using endpoint = listener.endpoint();
 * await using connection = await Connection.toEndpoint(endpoint);
 * const { sum } = await connection.request({ a: 1 }, { timeout: 1000 });
 * assert(sum === 2);
 * ```
 */
export class Connection implements AsyncDisposable {
  readonly #link: Link;
  #handlers: ConnectionHandlers;

  /** @internal */
  constructor(queue: EventQueue, handle: ShimLink, handlers: ConnectionHandlers) {
    this.#handlers = handlers;
    this.#link = new Link(queue, handle, {
      message: (dictionary) => this.#receive(dictionary),
      peer: (peer) => {
        queue.library.shim.shim_link_cancel(peer);
        queue.library.shim.shim_link_release(peer);
      },
      event: (code) => {
        if (code === ErrorCode.interrupted) this.#handlers.interrupted?.();
        else if (code === ErrorCode.terminating) this.#handlers.terminating?.();
      },
      closed: (error) => this.#handlers.closed?.(error),
    });
  }

  /**
   * Connects to a service by its name. Succeeds also where there is none: then the connection ends with
   * `closed`.
   *
   * @param name the service's name, 1 to 128 characters of `A-Z a-z 0-9 . _ -`
   * @param options handlers, and who is accepted
   * @returns the active connection
   * @throws {TypeError} if the name or the requirement is not valid
   */
  static async toService(name: string, options: ConnectionOptions = {}): Promise<Connection> {
    checkServiceName(name);
    const queue = await EventQueue.acquire();
    return await start(queue, queue.library.shim.shim_link_to_service(queue.handle, cString(name)), options);
  }

  /**
   * Connects to the listener behind an endpoint.
   *
   * @param endpoint from {@linkcode Listener.endpoint} or a message
   * @param options handlers, and who is accepted
   * @returns the active connection
   * @throws {TypeError} if the endpoint is disposed or the requirement is not valid
   */
  static async toEndpoint(endpoint: Endpoint, options: ConnectionOptions = {}): Promise<Connection> {
    const object = endpoint.held.borrow("connect to an endpoint");
    const library = endpoint.held.library;
    library.xpc.xpc_retain(object); // the endpoint may be disposed while we wait
    try {
      const queue = await EventQueue.acquire();
      return await start(queue, queue.library.shim.shim_link_to_endpoint(queue.handle, object), options);
    } finally {
      library.xpc.xpc_release(object);
    }
  }

  /** Whether messages can be sent: false after `close()` and after the peer is gone. */
  get open(): boolean {
    return this.#link.open;
  }

  /** Who is at the other end, from the kernel. Zeros before the other side's first message. */
  get peer(): PeerCredentials {
    return this.#link.credentials;
  }

  /** Resolves with the reason when the connection is over; never rejects. */
  get closed(): Promise<ConnectionError> {
    return this.#link.closed;
  }

  /**
   * Sends a message that awaits no reply. There is no confirmation: what is under way when the peer dies is
   * lost.
   *
   * @param record the message, captured at once
   * @throws {ConnectionError} if the connection is over
   * @throws {TypeError} for a value that cannot be sent, naming it
   * @throws {RangeError} for one that is too large, too deep or out of range
   */
  send(record: XpcRecord): void {
    const { library } = this.#link.queue;
    const dictionary = encode(library, record);
    try {
      this.#link.send(dictionary);
    } finally {
      library.xpc.xpc_release(dictionary);
    }
  }

  /**
   * Sends a message and waits for its reply.
   *
   * @param record the message, captured at once
   * @param options how long to wait
   * @returns the reply; what it holds belongs to the caller
   * @throws {ConnectionError} if the peer is gone before it replied
   * @throws {DOMException} `TimeoutError` if there is no reply in time
   * @throws the signal's reason, if it aborts first
   * @throws {TypeError} for a value that cannot be sent, naming it
   * @throws {RangeError} for one that is too large, too deep or out of range
   */
  async request(record: XpcRecord, options: RequestOptions = {}): Promise<XpcRecord> {
    const { signal, timeout } = options;
    signal?.throwIfAborted();
    const { library } = this.#link.queue;
    const { promise, resolve, reject } = Promise.withResolvers<XpcRecord>();
    const dictionary = encode(library, record);
    let forget: () => void;
    try {
      forget = this.#link.request(dictionary, (reply, error) => {
        if (reply === undefined) return reject(error);
        try {
          resolve(decode(library, reply));
        } catch (malformed) {
          reject(malformed);
        } finally {
          library.xpc.xpc_release(reply);
        }
      });
    } finally {
      library.xpc.xpc_release(dictionary);
    }
    const abort = (): void => {
      forget();
      reject(signal?.reason);
    };
    const expire = (): void => {
      forget();
      reject(new DOMException(`Cannot get a reply: there was none within ${timeout} ms`, "TimeoutError"));
    };
    signal?.addEventListener("abort", abort, { once: true });
    const stopTimer = startTimer(timeout ?? Infinity, expire);
    try {
      return await promise;
    } finally {
      signal?.removeEventListener("abort", abort);
      stopTimer();
    }
  }

  /**
   * Waits until all that was sent before has left this process.
   *
   * @throws {ConnectionError} if the connection is over
   */
  async flush(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#link.barrier((error) => error === undefined ? resolve() : reject(error));
    await promise;
  }

  /** Closes the connection: what was not sent yet is dropped, pending requests fail. Idempotent. */
  async close(): Promise<void> {
    await this.#link.close();
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#link.close();
  }

  /** @internal */
  activate(): void {
    this.#link.activate();
  }

  /** @internal Sets a requirement, before activation. */
  require(requirement: string): void {
    this.#link.require(requirement);
  }

  /**
   * @internal Has a native function called with `context` when the connection becomes invalid, on XPC's thread; the
   * result ends that.
   */
  onDeath(call: Deno.PointerObject, context: Deno.PointerObject): () => void {
    return this.#link.onDeath(call, context);
  }

  #receive(dictionary: XpcObject): void {
    const { library } = this.#link.queue;
    const handler = this.#handlers.message;
    try {
      if (handler === undefined) return;
      handler(new IncomingMessage(library, this.#link, dictionary));
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
      // A peer that sends what no honest one sends is not listened to any longer.
      void this.close();
    } finally {
      library.xpc.xpc_release(dictionary);
    }
  }
}

/** Makes a connection of a new link, and activates it; takes over a use of the queue, also when it fails. */
async function start(
  queue: EventQueue,
  handle: ShimLink | null,
  options: ConnectionOptions,
): Promise<Connection> {
  if (handle === null) {
    await queue.release();
    throw new Error("Cannot connect: no memory is left");
  }
  const connection = new Connection(queue, handle, options);
  try {
    if (options.requirement !== undefined) connection.require(options.requirement);
  } catch (error) {
    await connection.close();
    throw error;
  }
  connection.activate();
  return connection;
}
