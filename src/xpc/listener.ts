import { cString } from "../../ffi/memory.ts";
import type { ShimLink } from "../../ffi/types.ts";
import { ErrorCode, EventQueue } from "./event_queue.ts";
import { Link, type PeerCredentials } from "./_link.ts";
import { checkServiceName } from "./service_name.ts";
import { Connection, type ConnectionHandlers } from "./connection.ts";
import { Endpoint } from "./endpoint.ts";
import type { ConnectionError } from "./errors.ts";

/**
 * Decides about a new connection, before any of its messages is read.
 *
 * @param connection the new connection; messages can be sent once this returned
 * @param peer who connects, from the kernel
 * @returns what to do with its messages, or `undefined` to refuse it
 */
export type AcceptHandler = (
  connection: Connection,
  peer: PeerCredentials,
) => ConnectionHandlers | undefined;

/** Options of {@linkcode Listener.anonymous} and {@linkcode Listener.service}. */
export interface ListenerOptions {
  /**
   * A code-signing requirement for all who connect, in Apple's requirement language. macOS only.
   *
   * @default {undefined}
   */
  requirement?: string | undefined;
  /** The system is about to stop this process (macOS, launch agents). */
  terminating?: () => void;
}

/**
 * Takes connections: of those who got its {@linkcode Endpoint}, or of all who know the name of its service.
 *
 * @example
 * ```ts
 * import { Listener } from "@xpc/shmem/xpc";
 *
 * await using listener = await Listener.anonymous((_connection, peer) => {
 *   if (peer.pid === 1) return undefined; // whoever is not welcome
 *   return { message: (message) => message.reply({ pid: Deno.pid }) };
 * });
 * using endpoint = listener.endpoint();
 * ```
 */
export class Listener implements AsyncDisposable {
  readonly #link: Link;
  readonly #accept: AcceptHandler;
  readonly #peers = new Set<Connection>();
  readonly #requirement: string | undefined;
  readonly #isAnonymous: boolean;

  private constructor(
    queue: EventQueue,
    handle: ShimLink,
    accept: AcceptHandler,
    options: ListenerOptions,
    isAnonymous: boolean,
  ) {
    this.#accept = accept;
    this.#requirement = options.requirement;
    this.#isAnonymous = isAnonymous;
    this.#link = new Link(queue, handle, {
      message: (dictionary) => queue.library.xpc.xpc_release(dictionary), // no listener has messages
      peer: (peer) => this.#take(peer),
      event: (code) => {
        if (code === ErrorCode.terminating) options.terminating?.();
      },
      closed: () => {},
    });
  }

  /**
   * A listener that only those can reach who got its endpoint.
   *
   * @param accept decides about each connection
   * @param options who may connect
   * @returns the active listener
   */
  static async anonymous(accept: AcceptHandler, options: ListenerOptions = {}): Promise<Listener> {
    const queue = await EventQueue.acquire();
    const handle = queue.library.shim.shim_link_listen_anonymous(queue.handle);
    return await start(queue, handle, () => new Listener(queue, handle!, accept, options, true));
  }

  /**
   * A listener for a named service. On macOS only a process that launchd started for that name can listen; on
   * Linux one process at a time can, or the one that systemd started for it. A listener that cannot have the
   * name ends with `closed`.
   *
   * @param name the service's name, 1 to 128 characters of `A-Z a-z 0-9 . _ -`
   * @param accept decides about each connection
   * @param options who may connect
   * @returns the active listener
   * @throws {TypeError} if the name is not valid
   */
  static async service(
    name: string,
    accept: AcceptHandler,
    options: ListenerOptions = {},
  ): Promise<Listener> {
    checkServiceName(name);
    const queue = await EventQueue.acquire();
    const handle = queue.library.shim.shim_link_listen(queue.handle, cString(name));
    return await start(queue, handle, () => new Listener(queue, handle!, accept, options, false));
  }

  /** Resolves with the reason when the listener is over; never rejects. */
  get closed(): Promise<ConnectionError> {
    return this.#link.closed;
  }

  /** The connections that it has accepted and that are open. */
  get connections(): ReadonlySet<Connection> {
    return this.#peers;
  }

  /**
   * The right to connect here, to be sent to others.
   *
   * @returns a new endpoint, the caller's
   * @throws {TypeError} if this is the listener of a service: connect to that by its name
   * @throws {ConnectionError} if the listener is closed
   */
  endpoint(): Endpoint {
    if (!this.#isAnonymous) {
      throw new TypeError("Cannot make an endpoint of a service's listener: connect to it by its name");
    }
    const { library } = this.#link.queue;
    const object = library.xpc.xpc_endpoint_create(this.#link.borrow("make an endpoint"));
    if (object === null) throw new Error("Cannot make an endpoint: no memory or descriptor is left");
    return new Endpoint(library, object);
  }

  /** Stops listening and closes the connections that it accepted. Idempotent. */
  async close(): Promise<void> {
    const peers = [...this.#peers];
    await Promise.all([this.#link.close(), ...peers.map((peer) => peer.close())]);
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** @internal */
  activate(): void {
    this.#link.activate();
  }

  #take(handle: ShimLink): void {
    let handlers: ConnectionHandlers | undefined;
    const connection = new Connection(this.#link.queue.retain(), handle, {
      message: (message) => handlers?.message?.(message),
      interrupted: () => handlers?.interrupted?.(),
      terminating: () => handlers?.terminating?.(),
      closed: (error) => {
        this.#peers.delete(connection);
        handlers?.closed?.(error);
      },
    });
    this.#peers.add(connection);
    try {
      if (this.#requirement !== undefined) connection.require(this.#requirement);
      handlers = this.#accept(connection, connection.peer);
    } finally {
      // Also when `accept` threw: a peer is activated or cancelled, never left.
      if (handlers === undefined) void connection.close();
      else connection.activate();
    }
  }
}

/** Activates what `make` makes; takes over a use of the queue, also when it fails. */
async function start(queue: EventQueue, handle: ShimLink | null, make: () => Listener): Promise<Listener> {
  if (handle === null) {
    await queue.release();
    throw new Error("Cannot listen: no memory is left");
  }
  const listener = make();
  listener.activate();
  return listener;
}
