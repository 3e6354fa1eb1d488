import { Connection, ConnectionError, type XpcRecord } from "../xpc/mod.ts";
import type { Endpoint } from "../xpc/endpoint.ts";
import { checkServiceName } from "../xpc/service_name.ts";
import { aborted } from "../broker/abort.ts";
import { BrokerClient, type BrokerSelection } from "../broker/broker_client.ts";
import type { ClientLink, OpenRegionOptions } from "../link/client_link.ts";
import type { LinkedRegion } from "../link/linked_region.ts";
import { hashSchema, integerOf } from "../link/protocol.ts";
import { ReadableRegion, WritableRegion } from "../exchange/region.ts";
import { checkConnectOptions, checkOpenOptions } from "./options.ts";
import { PeerGoneError } from "../sync/errors.ts";
import { type ClientEvents, ConnectEvent, DisconnectEvent, TypedEventTarget } from "./events.ts";
import { describeNames } from "./find_now.ts";
import { follow, type Following, type FollowOptions, type FollowSource } from "./follow.ts";
import { ServerSearch } from "./server_search.ts";

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
  /**
   * Whether to wait until somebody serves the name. With `false`, `connect` throws {@linkcode ServiceNotFoundError} if
   * nobody does now.
   *
   * @default {true}
   */
  wait?: boolean | undefined;
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

/** @internal How a client gets its links. */
export interface ClientPlan {
  /** Makes the first link. */
  readonly begin: (search: ServerSearch, signal: AbortSignal) => Promise<ClientLink>;
  /** What there is for the next server beside what the user has open. */
  readonly estate?: () => readonly LinkedRegion[];
  /** Called when the server says that its regions are others. */
  readonly regionsChanged?: () => void;
}

/**
 * A client of a service. When the server goes, the regions that were opened stay readable and say that they are
 * orphaned. The client looks for the next server, and `open` waits for that.
 *
 * It has two events: `disconnect` when the server is gone, and `connect` when the client is connected to the next one.
 * `connect()` gives a client that is connected, so there is no event for the first time.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { connect, serve } from "@xpc/shmem";
 *
 * const options = { regions: { frame: { byteLength: 4096 } } };
 * const first = await serve("com.example.events", options);
 * await using client = await connect("com.example.events");
 * const again = Promise.withResolvers<number>();
 * client.addEventListener("disconnect", ({ error }) => console.log(error.message));
 * client.addEventListener("connect", ({ pid }) => again.resolve(pid));
 *
 * await first.close();
 * await using _second = await serve("com.example.events", options);
 * assert(await again.promise === Deno.pid);
 * ```
 */
export class Client extends TypedEventTarget<ClientEvents> implements AsyncDisposable {
  /** Discriminates the result of `join()`. */
  readonly role = "client";
  /** The name of the service. */
  readonly name: string;
  readonly #broker: BrokerClient;
  readonly #options: ConnectOptions;
  readonly #search: ServerSearch;
  readonly #stop = new AbortController();
  readonly #closed = Promise.withResolvers<Error | undefined>();
  /** Resolves when the server is gone and nothing of it is open; only without `reconnect`. */
  readonly #unused = Promise.withResolvers<void>();
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
    plan: ClientPlan,
  ) {
    super();
    this.name = name;
    this.#broker = broker;
    this.#options = options;
    const { estate = () => this.#estate(), regionsChanged } = plan;
    const { requirement, signal } = options;
    this.#search = new ServerSearch(broker, { name, schema, requirement, estate, regionsChanged });
    const until = signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal]);
    this.#link = plan.begin(this.#search, until).then((link) => this.#adopt(link));
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
    const known = names?.includes(this.name) === true
      ? "its server is registered but does not answer"
      : describeNames(names);
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
    const linked = await this.openLinked(name, { write, prefault, signal });
    return write ? new WritableRegion(linked) : new ReadableRegion(linked);
  }

  /** @internal Opens a region, waiting for a server if the last one is gone. */
  async openLinked(name: string, options: OpenRegionOptions): Promise<LinkedRegion> {
    const { signal } = options;
    const until = signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal]);
    for (;;) {
      if (this.#trouble !== undefined) throw this.#trouble;
      const link = await aborted(this.#link, until);
      try {
        return await link.region(name, { ...options, signal: until });
      } catch (error) {
        // The server died meanwhile: the next one has the region too, or says that it does not.
        const isGone = error instanceof ConnectionError || error instanceof PeerGoneError;
        if (!isGone || this.#options.reconnect === false) throw error;
        await aborted(link.closed, until);
      }
    }
  }

  /** @internal The link to the server that is there. */
  get link(): Promise<ClientLink> {
    return this.#link;
  }

  /**
   * Follows a region over all its lives: yields it when it is open, and at each change. Opens it anew when it was
   * replaced, or when its server came back; the region object from before is closed then. The iteration ends when the
   * client is closed.
   *
   * @param name its name
   * @param options whether to write, when to stop, how long to spin
   * @returns the region, again and again; leaving the loop closes it
   * @throws {Deno.errors.NotFound} from `next()` if the server, or the next one, has no such region
   * @throws {PeerGoneError} from `next()` when the server is gone, with `reconnect: false`
   * @throws the signal's reason, from `next()`, when it aborts
   * @throws {TypeError} if an option is not valid
   * @example
   * ```ts
   * import { assert } from "@std/assert";
   * import { connect, serve } from "@xpc/shmem";
   *
   * await using server = await serve("com.example.follow", { regions: { frame: { byteLength: 4096 } } });
   * await using client = await connect("com.example.follow");
   * for await (const frame of client.follow("frame")) {
   *   console.log(frame.generation, frame.revision, frame.view(Float32Array)[0]);
   *   if (frame.revision === 0) server.region("frame").commit(); // a change
   *   else if (frame.generation === 1) await server.replace("frame", { byteLength: 8192 }); // another region
   *   else break;
   * }
   * assert(server.region("frame").byteLength === 8192);
   * ```
   */
  follow(name: string, options: FollowOptions & { write: true }): Following<WritableRegion>;
  /**
   * Follows a region to read it only; otherwise as above.
   *
   * @param name its name
   * @param options when to stop, how long to spin
   * @returns the region, again and again
   */
  follow(name: string, options?: FollowOptions & { write?: false | undefined }): Following<ReadableRegion>;
  follow(name: string, options: FollowOptions = {}): Following<ReadableRegion> | Following<WritableRegion> {
    const reconnects = this.#options.reconnect !== false;
    const openLinked: FollowSource["openLinked"] = (region, how) => this.openLinked(region, how);
    return follow({ openLinked, stopped: this.#stop.signal, reconnects }, name, options);
  }

  /** Closes every region and the connection. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** @internal Closes the client, whose server is gone, when the last of its regions is closed. */
  async retire(): Promise<void> {
    await this.#unused.promise;
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
    this.dispatchEvent(new ConnectEvent(link.pid));
    return link;
  }

  /** What the user still has open of servers that are gone: the oldest first. */
  #estate(): LinkedRegion[] {
    return [...this.#links].flatMap((link) => link.regions).filter(({ orphaned }) => orphaned);
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
    const orphaned = link.orphan();
    this.dispatchEvent(new DisconnectEvent(error)); // its listeners find the regions orphaned
    await orphaned;
    this.#links.delete(link);
    if (this.#options.reconnect === false) this.#unused.resolve();
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
 * @throws {ServiceNotFoundError} with `wait: false`, if nobody serves the name now
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
  const begin: ClientPlan["begin"] = options.wait === false
    ? (search, signal) => search.now(signal, options.broker)
    : (search, signal) => search.once(signal);
  return await new Client(name, BrokerClient.acquire(options.broker), schema, options, { begin }).start();
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
