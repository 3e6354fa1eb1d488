import type { Endpoint } from "../xpc/endpoint.ts";
import { ConnectionError } from "../xpc/mod.ts";
import { aborted, backOff } from "./abort.ts";
import { BrokerConnection } from "./broker_connection.ts";
import { ConnectAttempts } from "./connect_attempts.ts";
import { BrokerUnavailableError } from "./errors.ts";
import { DEFAULT_SERVICE } from "./release.ts";
import {
  type BrokerEvent,
  type BrokerReport,
  type FoundService,
  InvalidReplyError,
  type ListedService,
  RefusedError,
  type RegisterReply,
} from "./replies.ts";
import { isStarved, STARVATION_PATIENCE } from "./starvation.ts";

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

/** The longest pause between two tries, in milliseconds. */
const LONGEST_PAUSE = 500;

/** How long {@linkcode BrokerClient.names} waits for the broker, in milliseconds. */
const NAMES_TIMEOUT = 500;

/** How long the broker may take to answer the cancellation of a lookup, in milliseconds. */
const CANCEL_TIMEOUT = 5000;

/** Receives unsolicited events of the broker. */
export interface BrokerListener {
  /** The client is connected to another broker, or to the same one again: all registrations are lost. */
  reconnected?(): void;
  /** The broker sent an event. */
  event?(event: BrokerEvent): void;
}

/**
 * The broker as the realm sees it: one connection that all servers and clients of the realm share, and that outlives
 * brokers. When a broker dies, this client finds or becomes the next one, repeats the requests that were not answered,
 * and tells its listeners to register again.
 */
export class BrokerClient {
  static readonly #shared = new Map<string, BrokerClient>();

  /** The servers of this realm by the name that they serve: the broker sees the whole realm as one peer. */
  readonly claims: Map<string, object> = new Map();
  readonly #key: string;
  readonly #service: string;
  readonly #attempts: ConnectAttempts;
  readonly #listeners = new Set<BrokerListener>();
  /** Aborts when the last user has released this client. */
  readonly #released = new AbortController();
  #users = 0;
  /** The connection, or the attempt to get one. */
  #connection: Promise<BrokerConnection> | undefined;
  #lastLookup = 0n;

  /**
   * Gives the realm's client for a broker.
   *
   * @param selection which broker
   * @returns the client; each call must be matched by one of {@linkcode release}
   */
  static acquire(selection: BrokerSelection = {}): BrokerClient {
    const { service = DEFAULT_SERVICE, embedded = Deno.build.os === "linux" } = selection;
    const key = `${embedded} ${service}`;
    let client = BrokerClient.#shared.get(key);
    if (client === undefined) {
      BrokerClient.#shared.set(key, client = new BrokerClient(key, service, embedded));
    }
    client.#users++;
    return client;
  }

  private constructor(key: string, service: string, embedded: boolean) {
    this.#key = key;
    this.#service = service;
    this.#attempts = new ConnectAttempts(service, embedded, {
      event: (event) => {
        for (const listener of this.#listeners) listener.event?.(event);
      },
      ended: (connection) => this.#disconnected(connection),
    });
  }

  /**
   * Releases one use. The last release closes the connection, and the broker if this realm runs it. It aborts what is
   * under way, so it is quick also while no broker answers.
   */
  async release(): Promise<void> {
    if (--this.#users > 0) return;
    if (BrokerClient.#shared.get(this.#key) === this) BrokerClient.#shared.delete(this.#key);
    this.#released.abort(new TypeError("Cannot ask the broker: nothing in this realm uses it any more"));
    const connection = await this.#connection?.catch(() => undefined); // there is nothing to close
    await connection?.close();
    await this.#attempts.close();
  }

  /** Calls `listener` with events until it is removed. */
  add(listener: BrokerListener): void {
    this.#listeners.add(listener);
  }

  /** Removes a listener. */
  remove(listener: BrokerListener): void {
    this.#listeners.delete(listener);
  }

  /**
   * Registers a name.
   *
   * @param request the name, the endpoint (it stays the caller's), the policy, and the last generation
   * @param signal ends the wait
   * @returns whether the name was registered, and who serves it
   * @throws {RefusedError} if the broker refuses, such as with `name_taken`
   * @throws {BrokerUnavailableError} if no broker can be reached
   * @throws the signal's reason, if it aborts first
   */
  async register(
    request: { name: string; endpoint: Endpoint; policy: "reject" | "replace" | "join"; after: number },
    signal?: AbortSignal,
  ): Promise<RegisterReply> {
    return await this.#ask((connection, until) => connection.register(request, { signal: until }), signal);
  }

  /**
   * Removes a registration.
   *
   * @param request the name and the generation
   * @param signal ends the wait
   * @throws {RefusedError} if there is no such registration
   * @throws {BrokerUnavailableError} if no broker can be reached
   * @throws the signal's reason, if it aborts first
   */
  async unregister(request: { name: string; generation: number }, signal?: AbortSignal): Promise<void> {
    await this.#ask((connection, until) => connection.unregister(request, { signal: until }), signal);
  }

  /**
   * Waits until a name is registered.
   *
   * @param name the name
   * @param after waits for a generation above this one
   * @param signal ends the wait
   * @returns the registration; the endpoint is the caller's
   * @throws {BrokerUnavailableError} if no broker can be reached
   * @throws the signal's reason, if it aborts first
   */
  async lookup(name: string, after: number, signal?: AbortSignal): Promise<FoundService> {
    const id = ++this.#lastLookup;
    let asked: BrokerConnection | undefined;
    try {
      return await this.#ask((connection, until) => {
        asked = connection;
        return connection.lookup({ name, after, id }, { signal: until });
      }, signal);
    } catch (error) {
      // The caller is not kept waiting: a broker that does not answer would delay the cancellation too.
      if (signal?.aborted === true && asked?.open === true) {
        void asked.cancel(id, { timeout: CANCEL_TIMEOUT }).catch(() => {});
      }
      throw error;
    }
  }

  /**
   * Finds a registration that is there now.
   *
   * @param name the name
   * @param signal ends the wait for the broker
   * @returns the registration; the endpoint is the caller's
   * @throws {RefusedError} with `not_found` if nobody has registered the name
   * @throws {BrokerUnavailableError} if no broker can be reached
   * @throws the signal's reason, if it aborts first
   */
  async find(name: string, signal?: AbortSignal): Promise<FoundService> {
    return await this.#ask((connection, until) => connection.lookup({ name }, { signal: until }), signal);
  }

  /**
   * How long the broker has run, in milliseconds.
   *
   * @param signal ends the wait
   * @throws {BrokerUnavailableError} if no broker can be reached
   * @throws the signal's reason, if it aborts first
   */
  async uptime(signal?: AbortSignal): Promise<number> {
    const ask = (connection: BrokerConnection, until: AbortSignal): Promise<BrokerReport> => {
      return connection.status({ signal: until });
    };
    return (await this.#ask(ask, signal)).uptime;
  }

  /**
   * Lists what is registered.
   *
   * @param signal ends the wait
   * @returns the services
   * @throws {BrokerUnavailableError} if no broker can be reached
   * @throws the signal's reason, if it aborts first
   */
  async list(signal?: AbortSignal): Promise<ListedService[]> {
    return await this.#ask((connection, until) => connection.list({ signal: until }), signal);
  }

  /**
   * The names that are registered, for messages of errors: asks only a broker that is connected, and waits briefly.
   *
   * @returns the names, or `undefined` if no broker tells them
   */
  async names(): Promise<string[] | undefined> {
    try {
      const timeout = AbortSignal.timeout(NAMES_TIMEOUT);
      const until = AbortSignal.any([timeout, this.#released.signal]);
      const connection = this.#connection && await aborted(this.#connection, until);
      const services = await connection?.list({ signal: until });
      return services?.map(({ name }) => name);
    } catch {
      return undefined; // the caller has an error to report already
    }
  }

  /** Asks the broker, and asks the next one if it ends before it replies. */
  async #ask<T>(
    ask: (connection: BrokerConnection, signal: AbortSignal) => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    const released = this.#released.signal;
    const until = signal === undefined ? released : AbortSignal.any([signal, released]);
    let starvedSince = 0;
    for (let attempt = 0;; attempt++) {
      until.throwIfAborted();
      const connection = await aborted(this.#connect(), until);
      try {
        return await ask(connection, until);
      } catch (error) {
        if (error instanceof InvalidReplyError) {
          throw new BrokerUnavailableError(this.#service, error.message);
        }
        if (!hasEnded(error)) throw error;
        const { message } = error as Error;
        if (!isStarved(error as Error)) starvedSince = 0;
        else if (starvedSince === 0) starvedSince = performance.now();
        else if (performance.now() - starvedSince > STARVATION_PATIENCE) {
          throw new BrokerUnavailableError(this.#service, message.replace(/^Cannot .*?: /, ""));
        }
      }
      this.#disconnected(connection);
      await backOff(attempt, LONGEST_PAUSE, until);
    }
  }

  /** Gives the connection, and makes one if there is none. */
  #connect(): Promise<BrokerConnection> {
    this.#connection ??= this.#attempts.connect(this.#released.signal).catch((error) => {
      this.#connection = undefined;
      throw error;
    });
    return this.#connection;
  }

  /** Drops a connection whose broker has ended. Connects again at once if listeners have registrations to repeat. */
  #disconnected(connection: BrokerConnection): void {
    const current = this.#connection;
    if (current === undefined || this.#released.signal.aborted) return;
    void current.then(async (open) => {
      if (open !== connection || this.#connection !== current) return; // somebody else did
      this.#connection = undefined;
      await connection.close();
      await this.#reconnect();
    }).catch(() => {}); // released meanwhile
  }

  /** Connects for the listeners, until that succeeds or there are none. */
  async #reconnect(): Promise<void> {
    const { signal } = this.#released;
    for (let attempt = 0; this.#listeners.size > 0 && !signal.aborted; attempt++) {
      try {
        await this.#connect();
        for (const listener of this.#listeners) listener.reconnected?.();
        return;
      } catch {
        // Requests throw the reason. A server lives on without a broker, so the next try may help.
        await backOff(attempt, LONGEST_PAUSE, signal);
      }
    }
  }
}

/** Whether an error says that the broker has ended, or is about to. */
function hasEnded(error: unknown): boolean {
  return error instanceof ConnectionError || error instanceof RefusedError && error.code === "terminating";
}
