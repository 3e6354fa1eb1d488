import { load } from "../../ffi/load.ts";
import { Broker } from "./broker.ts";
import { PROTOCOL_VERSION } from "./protocol.ts";
import { DEFAULT_SERVICE } from "./release.ts";
import { Connection, ConnectionError, type XpcRecord } from "../xpc/mod.ts";
import type { IncomingMessage } from "../xpc/incoming_message.ts";
import { BrokerUnavailableError } from "./errors.ts";

/** Which broker to ask. */
export interface BrokerSelection {
  /**
   * The broker's Mach service.
   *
   * @default {"io.jsr.xpc.shmem"}
   */
  service?: string | undefined;
  /**
   * Whether this process may become the broker where there is none. macOS does not allow it.
   *
   * @default {true} on Linux
   */
  embedded?: boolean | undefined;
}

/** How long a broker has to answer hello, and the longest pause between two tries, in milliseconds. */
const HELLO_TIMEOUT = 5000;
const LONGEST_PAUSE = 500;

/** Told of what a broker does by itself. */
export interface BrokerListener {
  /** Another broker, or the same anew: what was registered is lost. */
  reconnected?(): void;
  /** An event of the protocol. */
  event?(values: XpcRecord): void;
}

/**
 * This realm's connection to a broker. It outlives brokers: when one dies, it finds or becomes the next, repeats
 * what was asked, and tells its listeners to register again.
 */
export class BrokerClient {
  static readonly #shared = new Map<string, BrokerClient>();

  readonly #service: string;
  readonly #embedded: boolean;
  readonly #listeners = new Set<BrokerListener>();
  readonly #closed = new AbortController();
  /** Who in this realm serves a name, or is about to. The broker takes all of them for one. */
  readonly claims: Map<string, object> = new Map();
  #users = 0;
  #connection: Promise<Connection> | undefined;
  #broker: Broker | undefined;
  #wasConnected = false;
  #lastLookup = 0n;

  /** The client for a broker; each call must be matched by one of {@linkcode release}. */
  static acquire(selection: BrokerSelection = {}): BrokerClient {
    const { service = DEFAULT_SERVICE, embedded = Deno.build.os === "linux" } = selection;
    const key = `${embedded} ${service}`;
    let client = BrokerClient.#shared.get(key);
    if (client === undefined) BrokerClient.#shared.set(key, client = new BrokerClient(service, embedded));
    client.#users++;
    return client;
  }

  private constructor(service: string, embedded: boolean) {
    this.#service = service;
    this.#embedded = embedded;
  }

  /** Gives it up. The last to do so closes the connection, and the broker if this process runs it. */
  async release(): Promise<void> {
    if (--this.#users > 0) return;
    for (const [key, client] of BrokerClient.#shared) {
      if (client === this) BrokerClient.#shared.delete(key);
    }
    this.#closed.abort(new TypeError("Cannot ask the broker: nothing here uses it any more"));
    const connection = await this.#connection?.catch(() => undefined); // it failed: there is nothing to close
    await connection?.close();
    await this.#broker?.close();
  }

  /** Tells `listener` what happens, until it is removed. */
  add(listener: BrokerListener): void {
    this.#listeners.add(listener);
  }

  /** Ends that. */
  remove(listener: BrokerListener): void {
    this.#listeners.delete(listener);
  }

  /**
   * Asks the broker, whichever is there: again when it dies before it has answered.
   *
   * @returns the reply, also one with `ok: false`
   * @throws {BrokerUnavailableError} if there is none and none may be made
   * @throws the signal's reason, if it aborts first
   */
  async request(record: XpcRecord, signal?: AbortSignal): Promise<XpcRecord> {
    const until = signal === undefined ? this.#closed.signal : AbortSignal.any([signal, this.#closed.signal]);
    for (let attempt = 0;; attempt++) {
      until.throwIfAborted();
      const connection = await aborted(this.#ready(), until);
      try {
        const reply = await connection.request(record, { signal: until });
        if (reply["code"] !== "terminating") return reply;
      } catch (error) {
        if (!(error instanceof ConnectionError)) throw error;
      }
      this.#lose(connection);
      await pause(attempt, until);
    }
  }

  /** Waits for a registration of a name above a generation; an abort also reaches the broker. */
  async lookup(name: string, after: bigint, signal?: AbortSignal): Promise<XpcRecord> {
    const id = ++this.#lastLookup;
    try {
      return await this.request({ op: "lookup", name, after, wait: true, id }, signal);
    } catch (error) {
      if (signal?.aborted === true) await this.#cancel(id);
      throw error;
    }
  }

  async #cancel(id: bigint): Promise<void> {
    const connection = await this.#connection?.catch(() => undefined);
    if (connection?.open !== true) return; // the lookup went with it
    await connection.request({ op: "cancel", id }, { timeout: HELLO_TIMEOUT }).catch(() => {}); // likewise
  }

  #ready(): Promise<Connection> {
    this.#connection ??= this.#establish().catch((error) => {
      this.#connection = undefined;
      throw error;
    });
    return this.#connection;
  }

  async #establish(): Promise<Connection> {
    for (let attempt = 0;; attempt++) {
      this.#closed.signal.throwIfAborted();
      const connection = await Connection.toService(this.#service, {
        message: (message) => this.#receive(message),
        interrupted: () => this.#lose(connection),
        closed: () => this.#lose(connection),
      });
      const version = BigInt(PROTOCOL_VERSION);
      try {
        const hello = { op: "hello", min: version, max: version, name: `deno ${Deno.pid}` };
        const reply = await connection.request(hello, {
          timeout: HELLO_TIMEOUT,
          signal: this.#closed.signal,
        });
        if (reply["ok"] === true) {
          if (connection.peer.euid !== (await load()).shim.shim_euid()) {
            throw new BrokerUnavailableError(this.#service, `user ${connection.peer.euid} runs it`);
          }
          this.#wasConnected = true;
          return connection;
        }
        if (reply["code"] !== "terminating") {
          throw new BrokerUnavailableError(this.#service, String(reply["message"]));
        }
        await connection.close();
      } catch (error) {
        await connection.close();
        if (!(error instanceof ConnectionError) && !isTimeout(error)) throw error;
        await this.#missing(error);
      }
      await pause(attempt, this.#closed.signal);
    }
  }

  /** No broker answered: becomes it, where that is allowed. */
  async #missing(error: Error): Promise<void> {
    if (this.#embedded) {
      if (this.#broker !== undefined) return;
      const broker = await Broker.start({ service: this.#service });
      this.#broker = broker;
      // Another process was quicker: this one is its client.
      void broker.closed.then(() => {
        if (this.#broker === broker) this.#broker = undefined;
      });
    } else if (!this.#wasConnected) {
      throw new BrokerUnavailableError(this.#service, error.message);
    }
  }

  /** The broker is gone: whoever has registered needs the next one at once. */
  #lose(connection: Connection): void {
    const current = this.#connection;
    if (current === undefined || this.#closed.signal.aborted) return;
    void current.then(async (open) => {
      if (open !== connection || this.#connection !== current) return;
      this.#connection = undefined;
      await connection.close();
      if (this.#closed.signal.aborted || this.#listeners.size === 0) return;
      await this.#ready();
      for (const listener of this.#listeners) listener.reconnected?.();
    }).catch(() => {
      // No broker could be had: the next request says why.
    });
  }

  #receive(message: IncomingMessage): void {
    using _ = message;
    for (const listener of this.#listeners) listener.event?.(message.values);
  }
}

function isTimeout(error: unknown): error is Error {
  return error instanceof DOMException && error.name === "TimeoutError";
}

/** Pauses between tries: twice as long each time, and not the same in two processes. */
async function pause(attempt: number, signal: AbortSignal): Promise<void> {
  const milliseconds = Math.min(2 ** attempt, LONGEST_PAUSE) * (0.5 + Math.random());
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, milliseconds);
  try {
    await aborted(promise, signal);
  } finally {
    clearTimeout(timer);
  }
}

/** The promise, or the signal's reason if that comes first. */
export async function aborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await promise;
  signal.throwIfAborted();
  const { promise: abort, reject } = Promise.withResolvers<never>();
  const listener = (): void => reject(signal.reason);
  signal.addEventListener("abort", listener, { once: true });
  try {
    return await Promise.race([promise, abort]);
  } finally {
    signal.removeEventListener("abort", listener);
  }
}
