import { load } from "../../ffi/load.ts";
import type { Endpoint } from "../xpc/endpoint.ts";
import type { IncomingMessage } from "../xpc/incoming_message.ts";
import { Connection, type ConnectionError, type XpcRecord } from "../xpc/mod.ts";
import { aborted } from "./abort.ts";
import type { Fields } from "./fields.ts";
import { PROTOCOL_VERSION } from "./protocol.ts";
import {
  type BrokerEvent,
  type BrokerIdentity,
  type BrokerReport,
  type FoundService,
  InvalidReplyError,
  type ListedService,
  readEvent,
  readFound,
  readIdentity,
  readRegistered,
  readReply,
  readReport,
  readServices,
  type RegisterReply,
} from "./replies.ts";

/** How long a broker may take to answer hello. launchd starts a job at most once in 10 s. In milliseconds. */
export const HELLO_TIMEOUT: number = Deno.build.os === "darwin" ? 15_000 : 5000;

/** How long to wait for a reply. */
export interface AskOptions {
  /** In milliseconds; by default as long as the connection lasts. */
  timeout?: number | undefined;
  /** Ends the wait. */
  signal?: AbortSignal | undefined;
}

/** Options of {@linkcode BrokerConnection.open}. */
export interface OpenOptions extends AskOptions {
  /** Who connects, for people. */
  name: string;
  /** Receives the events of the broker. */
  event?: ((event: BrokerEvent) => void) | undefined;
  /** Called when the broker has ended, perhaps more than once. */
  ended?: (() => void) | undefined;
}

/** Thrown when a process of another user runs the broker. */
export class ForeignBrokerError extends Error {
  /** @param euid the user */
  constructor(euid: number) {
    super(`user ${euid} runs it`);
    this.name = "ForeignBrokerError";
  }
}

/**
 * One connection to a broker, which has said hello. It ends with the broker: `BrokerClient` connects again.
 *
 * Every operation throws {@linkcode RefusedError} if the broker refuses it, {@linkcode InvalidReplyError} if the reply
 * does not follow the protocol, {@linkcode ConnectionError} if the broker ends before it replies, a `TimeoutError` if
 * it does not reply in time, and the signal's reason if that aborts first.
 */
export class BrokerConnection implements AsyncDisposable {
  /** What the broker says of itself. */
  readonly identity: BrokerIdentity;
  readonly #connection: Connection;

  private constructor(connection: Connection, identity: BrokerIdentity) {
    this.#connection = connection;
    this.identity = identity;
  }

  /**
   * Connects to a broker and says hello.
   *
   * @param service the broker's Mach service
   * @param options who connects, and how long to wait: by default {@linkcode HELLO_TIMEOUT}
   * @returns the connection
   * @throws {ForeignBrokerError} if another user runs the broker
   */
  static async open(service: string, options: OpenOptions): Promise<BrokerConnection> {
    const { name, event, ended, signal, timeout = HELLO_TIMEOUT } = options;
    const opening = Connection.toService(service, {
      message: (message) => receive(message, event),
      interrupted: () => ended?.(),
      closed: () => ended?.(),
    });
    let connection: Connection;
    try {
      connection = await aborted(opening, signal);
    } catch (error) {
      void opening.then((late) => late.close(), () => {}); // opening the library may take long
      throw error;
    }
    try {
      const identity = await hello(connection, name, { signal, timeout });
      const { shim } = await load();
      const { euid } = connection.peer;
      if (euid !== shim.shim_euid()) throw new ForeignBrokerError(euid);
      return new BrokerConnection(connection, identity);
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  /** Whether requests can be sent. */
  get open(): boolean {
    return this.#connection.open;
  }

  /** Resolves with the reason when the connection is over. */
  get closed(): Promise<ConnectionError> {
    return this.#connection.closed;
  }

  /** Registers a name. The endpoint stays the caller's. */
  async register(
    request: { name: string; endpoint: Endpoint; policy: "reject" | "replace" | "join"; after: number },
    options?: AskOptions,
  ): Promise<RegisterReply> {
    return await this.#ask(
      { op: "register", ...request, after: BigInt(request.after) },
      readRegistered,
      options,
    );
  }

  /** Removes a registration. */
  async unregister(request: { name: string; generation: number }, options?: AskOptions): Promise<void> {
    const { name, generation } = request;
    await this.#ask({ op: "unregister", name, generation: BigInt(generation) }, () => {}, options);
  }

  /** Finds the registration of a name above a generation. With an `id`, waits until there is one. */
  async lookup(
    request: { name: string; after?: number; id?: bigint },
    options?: AskOptions,
  ): Promise<FoundService> {
    const { name, after = 0, id } = request;
    const record = { op: "lookup", name, after: BigInt(after), wait: id !== undefined, id };
    return await this.#ask(record, readFound, options);
  }

  /** Cancels a lookup that waits; whether one did. */
  async cancel(id: bigint, options?: AskOptions): Promise<boolean> {
    return await this.#ask({ op: "cancel", id }, (fields) => fields.flag("cancelled"), options);
  }

  /** Lists all registrations. */
  async list(options?: AskOptions): Promise<ListedService[]> {
    return await this.#ask({ op: "list" }, readServices, options);
  }

  /** Lists all registrations, and asks for the events about them from then on. */
  async watch(options?: AskOptions): Promise<ListedService[]> {
    return await this.#ask({ op: "watch" }, readServices, options);
  }

  /** Ends the events of {@linkcode watch}. */
  async unwatch(options?: AskOptions): Promise<void> {
    await this.#ask({ op: "unwatch" }, () => {}, options);
  }

  /** Asks for the state of the broker. */
  async status(options?: AskOptions): Promise<BrokerReport> {
    return await this.#ask({ op: "status" }, readReport, options);
  }

  /** Closes the connection: requests under way fail. Idempotent. */
  async close(): Promise<void> {
    await this.#connection.close();
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #ask<T>(record: XpcRecord, read: (fields: Fields) => T, options: AskOptions = {}): Promise<T> {
    const reply = await this.#connection.request(record, options);
    return readReply(String(record["op"]), reply, read);
  }
}

/** Agrees with the broker on a version of the protocol. */
async function hello(connection: Connection, name: string, options: AskOptions): Promise<BrokerIdentity> {
  const version = BigInt(PROTOCOL_VERSION);
  const reply = await connection.request({ op: "hello", min: version, max: version, name }, options);
  const identity = readReply("hello", reply, readIdentity);
  if (identity.version !== PROTOCOL_VERSION) throw new InvalidReplyError("hello", "version");
  return identity;
}

function receive(message: IncomingMessage, handle: ((event: BrokerEvent) => void) | undefined): void {
  using _ = message;
  const event = readEvent(message.values);
  if (event !== undefined) handle?.(event);
}
