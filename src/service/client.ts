import { Connection, ConnectionError, type XpcRecord } from "../xpc/mod.ts";
import type { Endpoint } from "../xpc/endpoint.ts";
import { checkServiceName } from "../xpc/service_name.ts";
import { aborted } from "../broker/abort.ts";
import { BrokerClient, type BrokerSelection } from "../broker/broker_client.ts";
import type { ClientLink } from "../link/client_link.ts";
import { hashSchema, integerOf } from "../link/protocol.ts";
import { type AnyLock, checkKind, type LockKinds, wrapLock } from "../exchange/locks.ts";
import type { LockKind } from "../link/lock_spec.ts";
import { ReadableRegion, WritableRegion } from "../exchange/region.ts";
import { checkConnectOptions, checkLockOptions, checkOpenOptions } from "./options.ts";
import { type Found, ServerSearch } from "./server_search.ts";

/** Options of {@linkcode connect}. */
export interface ConnectOptions {
  /** Ends the wait for the server. Without one, `connect` waits until somebody serves the name. */
  signal?: AbortSignal | undefined;
  /**
   * What both apps agree on about the content, such as "frames v3". A server with another one is refused.
   *
   * @default {undefined}
   */
  schema?: string | undefined;
  /**
   * Whether to look for the server again when it is gone.
   *
   * @default {true}
   */
  reconnect?: boolean | undefined;
  /** The broker to ask. */
  broker?: BrokerSelection | undefined;
  /** A code-signing requirement for the server. macOS only. */
  requirement?: string | undefined;
}

/** Options of {@linkcode Client.open}. */
export interface OpenOptions {
  /**
   * Whether to write: gives a {@linkcode WritableRegion}.
   *
   * @default {false}
   */
  write?: boolean | undefined;
  /**
   * Whether to make all pages resident now, instead of each at its first touch.
   *
   * @default {false}
   */
  prefault?: boolean | undefined;
  /** Ends the wait for the server, where it is gone. */
  signal?: AbortSignal | undefined;
}

/** Options of {@linkcode Client.lock}. */
export interface LockOptions {
  /** Ends the wait for the server, where it is gone. */
  signal?: AbortSignal | undefined;
}

/**
 * A client of a service. When the server goes, the regions that were opened stay readable and say that they are
 * orphaned. The client looks for the next server, and `open` waits for that.
 */
export class Client implements AsyncDisposable {
  /** Discriminates the result of `join()`. */
  readonly role = "client";
  /** The name of the service. */
  readonly name: string;
  readonly #broker: BrokerClient;
  readonly #options: ConnectOptions;
  readonly #search: ServerSearch;
  readonly #stop = new AbortController();
  readonly #closed = Promise.withResolvers<Error | undefined>();
  /** The link that lives, and links whose server is gone while regions of them are open. */
  readonly #links = new Set<ClientLink>();
  #link: Promise<ClientLink>;
  /** What keeps the client from finding the next server. */
  #trouble: Error | undefined;
  #pid = 0;
  #connected = false;
  #closing: Promise<void> | undefined;

  /** @internal Takes over one use of the broker client. */
  constructor(
    name: string,
    broker: BrokerClient,
    schema: Uint8Array | null,
    options: ConnectOptions,
    first?: Found,
  ) {
    this.name = name;
    this.#broker = broker;
    this.#options = options;
    this.#search = new ServerSearch(broker, { name, schema, requirement: options.requirement });
    const { signal } = options;
    const until = signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal]);
    this.#link = this.#search.once(until, first).then((link) => this.#adopt(link));
  }

  /** @internal Waits for the first link, or cleans up. */
  async start(): Promise<this> {
    try {
      await this.#link;
      return this;
    } catch (error) {
      const explained = await this.#explain(error);
      await this.close();
      throw explained;
    }
  }

  /** Says what is registered, where `connect` timed out: perhaps the name has a typo. */
  async #explain(error: unknown): Promise<unknown> {
    const { signal } = this.#options;
    if (signal?.aborted !== true || error !== signal.reason) return error;
    if (!(error instanceof DOMException) || error.name !== "TimeoutError") return error;
    const names = await this.#broker.names();
    const known = names === undefined
      ? "the broker does not answer"
      : names.includes(this.name)
      ? "its server is registered but does not answer"
      : names.length === 0
      ? "nothing is registered at the broker"
      : `registered are ${names.map((name) => `"${name}"`).join(", ")}`;
    return new DOMException(`Cannot connect to "${this.name}" in time: ${known}`, "TimeoutError");
  }

  /** Whether the server is there. */
  get connected(): boolean {
    return this.#connected;
  }

  /** The process that serves, or served last. */
  get pid(): number {
    return this.#pid;
  }

  /**
   * Resolves when the client has ended: closed (with `undefined`), or, without `reconnect`, when its server is gone
   * (with an error).
   */
  get closed(): Promise<Error | undefined> {
    return this.#closed.promise;
  }

  /**
   * Opens a region, waiting for a server if the last one is gone.
   *
   * @param name its name
   * @param options whether to write, and when to give up
   * @returns the region, which belongs to the caller and is closed with the client at the latest
   * @throws {Deno.errors.NotFound} if the server has no such region
   * @throws {Deno.errors.NotCapable} if it is to be written, and clients may only read it
   * @throws {TypeError} if the client is closed, or an option is not valid
   * @throws {Error} if the last server is gone and something keeps this client from the next one, such as a process
   *   that has no descriptor left; the client goes on trying
   * @throws the signal's reason, if it aborts first
   */
  open(name: string, options: OpenOptions & { write: true }): Promise<WritableRegion>;
  /**
   * Opens a region to read it only; otherwise as above.
   *
   * @param name its name
   * @param options when to give up
   * @returns the region
   */
  open(name: string, options?: OpenOptions & { write?: false | undefined }): Promise<ReadableRegion>;
  async open(name: string, options: OpenOptions = {}): Promise<ReadableRegion | WritableRegion> {
    checkOpenOptions(name, options);
    const { write = false, prefault = false, signal } = options;
    const until = signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal]);
    for (;;) {
      if (this.#trouble !== undefined) throw this.#trouble;
      const link = await aborted(this.#link, until);
      try {
        const linked = await link.region(name, { write, prefault, signal: until });
        return write ? new WritableRegion(linked) : new ReadableRegion(linked);
      } catch (error) {
        // The server died meanwhile: the next one has the region too, or says that it does not.
        if (!(error instanceof ConnectionError) || this.#options.reconnect === false) throw error;
        await aborted(link.closed, until);
      }
    }
  }

  /**
   * Opens a lock, waiting for a server if the last one is gone.
   *
   * @param name its name
   * @param kind its kind, so that its type is known
   * @param options when to give up
   * @returns the lock, which belongs to the caller and is closed with the client at the latest
   * @throws {Deno.errors.NotFound} if the server has no such lock
   * @throws {TypeError} if it is of another kind, the client is closed, or an option is not valid
   * @throws {Error} as of {@linkcode open}
   * @throws the signal's reason, if it aborts first
   */
  lock<K extends LockKind>(name: string, kind: K, options?: LockOptions): Promise<LockKinds[K]>;
  /**
   * Opens a lock of any kind; `lock.kind` tells which.
   *
   * @param name its name
   * @param kind left out
   * @param options when to give up
   * @returns the lock
   */
  lock(name: string, kind?: undefined, options?: LockOptions): Promise<AnyLock>;
  async lock(name: string, kind?: LockKind, options: LockOptions = {}): Promise<AnyLock> {
    checkLockOptions(name, options);
    const { signal } = options;
    const until = signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal]);
    for (;;) {
      if (this.#trouble !== undefined) throw this.#trouble;
      const link = await aborted(this.#link, until);
      try {
        const linked = await link.lock(name, until);
        if (kind !== undefined && linked.kind !== kind) await linked.close();
        checkKind(name, linked.kind, kind);
        return wrapLock(linked);
      } catch (error) {
        // The server died meanwhile, as of `open`.
        if (!(error instanceof ConnectionError) || this.#options.reconnect === false) throw error;
        await aborted(link.closed, until);
      }
    }
  }

  /** Closes every region, every lock and the connection. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    this.#stop.abort(new TypeError(`Cannot use the client of "${this.name}": it is closed`));
    await this.#link.catch(() => {}); // told to those who waited for it
    await Promise.all([...this.#links].map((link) => link.close()));
    await this.#broker.release();
    this.#connected = false;
    this.#closed.resolve(undefined);
  }

  #adopt(link: ClientLink): ClientLink {
    this.#links.add(link);
    this.#connected = true;
    this.#pid = link.pid;
    void link.closed.then((error) => this.#lost(link, error));
    return link;
  }

  async #lost(link: ClientLink, error: ConnectionError): Promise<void> {
    if (this.#stop.signal.aborted) return;
    this.#connected = false;
    if (this.#options.reconnect === false) {
      const refused = Promise.reject(error);
      refused.catch(() => {}); // told to those who call `open`
      this.#link = refused;
      this.#closed.resolve(error);
    } else {
      const next = this.#search.again(this.#stop.signal, (trouble) => this.#trouble = trouble);
      this.#link = next.then((link) => this.#adopt(link));
      this.#link.catch(() => {}); // likewise
    }
    await link.orphan();
    this.#links.delete(link);
  }
}

/**
 * Connects to a service, waiting until somebody serves it: either side may start first.
 *
 * @param name the service's name, 1 to 128 characters of `A-Z a-z 0-9 . _ -`
 * @param options when to give up, what to agree on, whether to reconnect
 * @returns the client, connected
 * @throws {TypeError} if the name is not valid
 * @throws {IncompatibleError} if the server has another version or schema
 * @throws {BrokerUnavailableError} if no broker can be reached
 * @throws the signal's reason, if it aborts first
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { connect, serve } from "@xpc/shmem";
 *
 * await using server = await serve("com.example.connect", { regions: { frame: { byteLength: 4096 } } });
 * server.region("frame").view(Float32Array)[0] = 0.5;
 *
 * await using client = await connect("com.example.connect", { signal: AbortSignal.timeout(10_000) });
 * const frame = await client.open("frame");
 * assert(frame.view(Float32Array)[0] === 0.5);
 * ```
 */
export async function connect(name: string, options: ConnectOptions = {}): Promise<Client> {
  checkServiceName(name);
  checkConnectOptions(name, options);
  options.signal?.throwIfAborted();
  const schema = await hashSchema(options.schema);
  return await new Client(name, BrokerClient.acquire(options.broker), schema, options).start();
}

/** What {@linkcode describe} tells of a region. */
export interface RegionDescription {
  /** The name. */
  readonly name: string;
  /** The length, in bytes. */
  readonly byteLength: number;
  /** What clients may do. */
  readonly clients: string;
  /** How often it was replaced, plus 1. */
  readonly generation: number;
  /** The number of commits. */
  readonly revision: number;
}

/** Asks the server behind an endpoint for its regions, without becoming its client. */
export async function describe(endpoint: Endpoint, timeout: number): Promise<RegionDescription[]> {
  await using connection = await Connection.toEndpoint(endpoint);
  const { regions } = await connection.request({ op: "describe" }, { timeout });
  if (!Array.isArray(regions)) return [];
  return regions.flatMap((region) => {
    if (typeof region !== "object" || region === null) return [];
    const { name, clients, byteLength, generation, revision } = region as XpcRecord;
    if (typeof name !== "string" || typeof clients !== "string") return []; // the server does not follow the protocol
    const most = Number.MAX_SAFE_INTEGER;
    return [{
      name,
      byteLength: integerOf(byteLength, most) ?? 0,
      clients,
      generation: integerOf(generation, most) ?? 0,
      revision: integerOf(revision, most) ?? 0,
    }];
  });
}
