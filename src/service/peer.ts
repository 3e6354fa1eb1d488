import { aborted, backOff } from "../broker/abort.ts";
import { BrokerClient } from "../broker/broker_client.ts";
import type { FoundService } from "../broker/replies.ts";
import { ReadableRegion, WritableRegion } from "../exchange/region.ts";
import type { OpenRegionOptions } from "../link/client_link.ts";
import { IncompatibleError } from "../link/errors.ts";
import type { Inheritance } from "../link/estate.ts";
import type { LinkedRegion } from "../link/linked_region.ts";
import { ConnectionError } from "../xpc/mod.ts";
import { Client, type ClientPlan, type ConnectOptions, type OpenOptions } from "./client.ts";
import { ConnectEvent, DisconnectEvent, TypedEventTarget } from "./events.ts";
import { follow, type Following, type FollowOptions, type FollowSource } from "./follow.ts";
import { Keeper } from "./keeper.ts";
import { checkOpenOptions } from "./options.ts";
import { prepare, type ServeOptions, type Server } from "./server.ts";

/** Options of {@linkcode join} with `takeOver: true`: what to serve, and how to be a client. */
export interface TakeOverOptions
  extends Omit<ServeOptions, "policy" | "adopt">, Pick<ConnectOptions, "broker" | "requirement"> {
  /** Whether a peer takes over when the server is gone. */
  takeOver: true;
}

/** What a peer is at the moment. */
export type PeerRole = "server" | "client";

/** A peer became the server, or a client of another server than itself. */
export class RoleChangeEvent extends Event {
  /** What it is now. */
  readonly role: PeerRole;

  /**
   * Makes the event.
   *
   * @param role what the peer is now
   */
  constructor(role: PeerRole) {
    super("rolechange");
    this.role = role;
  }
}

/** The events of a {@linkcode Peer}, by their types. */
export interface PeerEvents {
  /** The peer is connected to a server, after the first time. `connected` and `pid` say so already. */
  readonly connect: ConnectEvent;
  /** The server is gone, or the link to it. `connected` is false already. */
  readonly disconnect: DisconnectEvent;
  /** The peer became the server or a client. `role` says so already. */
  readonly rolechange: RoleChangeEvent;
}

/** One term of a peer: the time in which it serves, or is the client of one server. */
interface Term {
  readonly end: Server | Client;
  /** Resolves when the term is over and `#term` is the next one. */
  readonly over: Promise<void>;
}

/** The longest pause between two tries to find or become the server, in milliseconds. */
const LONGEST_PAUSE = 500;

/**
 * An equal app that takes over when the server is gone: see {@linkcode join}. As a client it keeps every region of the
 * service mapped. When the server dies or closes, exactly one of the peers becomes the next server, with the content
 * that it has mapped. The revisions go on, and the generations grow.
 *
 * - A region that clients may write stays the same memory. Regions that were open before are orphaned, as after every
 *   end of a server, and show that memory still: whoever writes there writes without the new mutex. So `open()` it anew,
 *   or use `follow()`.
 * - A region that clients only read is copied once, since the kernel lets nobody but its maker write it.
 * - A mutex that somebody held when the server went is free, and the next holder is told `abandoned`.
 *
 * Where the broker ends at the same moment as the server, two peers may serve for a moment, each registered at one broker.
 * The one that was first takes the name back, and the other becomes its client.
 *
 * It has three events: `disconnect`, `connect` and `rolechange`.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { join } from "@xpc/shmem";
 *
 * const options = { regions: { counter: { byteLength: 8 } }, takeOver: true } as const;
 * const first = await join("com.example.peers", options);
 * await using second = await join("com.example.peers", options);
 * first.region("counter").view(BigUint64Array)[0] = 42n;
 *
 * const promoted = new Promise((resolve) => second.addEventListener("rolechange", resolve));
 * await first.close();
 * await promoted;
 * assert(second.role === "server" && second.taken.get("counter") === "reference");
 * assert(second.region("counter").view(BigUint64Array)[0] === 42n);
 * ```
 */
export class Peer extends TypedEventTarget<PeerEvents> implements AsyncDisposable {
  /** The name of the service. */
  readonly name: string;
  readonly #options: TakeOverOptions;
  readonly #schema: Uint8Array | null;
  readonly #broker: BrokerClient;
  readonly #keeper = new Keeper();
  readonly #stop = new AbortController();
  readonly #closed = Promise.withResolvers<Error | undefined>();
  /** Clients whose server is gone while their regions are open. */
  readonly #retired = new Set<Client>();
  #term: Promise<Term>;
  #role: PeerRole = "client";
  #pid = 0;
  #connected = false;
  #current: Server | Client | undefined;
  /** What keeps the peer from finding or becoming the next server. */
  #trouble: Error | undefined;
  #living: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;

  /** @internal The options are checked. */
  constructor(name: string, schema: Uint8Array | null, options: TakeOverOptions) {
    super();
    this.name = name;
    this.#options = options;
    this.#schema = schema;
    this.#broker = BrokerClient.acquire(options.broker);
    this.#term = Promise.reject(new TypeError(`Cannot use the peer of "${name}": it has not started`));
    this.#term.catch(() => {}); // told to nobody: the peer is given to its user when it has started
  }

  /** @internal Becomes the server or a client, or cleans up. */
  async start(): Promise<this> {
    const { signal } = this.#options;
    const stop = (): void => this.#stop.abort(signal?.reason);
    signal?.addEventListener("abort", stop, { once: true });
    try {
      const next = Promise.withResolvers<void>();
      const end = await this.#elect(true);
      this.#begin(end);
      this.#term = Promise.resolve({ end, over: next.promise });
      this.#living = this.#live(end, next);
      return this;
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }

  /** What the peer is at the moment. Between two servers it is what it was. */
  get role(): PeerRole {
    return this.#role;
  }

  /** Whether there is a server: this peer, or the one that it is connected to. */
  get connected(): boolean {
    return this.#connected;
  }

  /** The process that serves, or served last. */
  get pid(): number {
    return this.#pid;
  }

  /** How many clients are connected, where this peer is the server; else 0. */
  get clients(): number {
    return this.#current?.role === "server" ? this.#current.clients : 0;
  }

  /** The names of the regions that this peer serves, or that it has mapped and could serve next. */
  get regions(): string[] {
    if (this.#current?.role === "server") return this.#current.regions;
    return this.#keeper.regions.map(({ name }) => name);
  }

  /**
   * Where this peer is the server: the regions whose memory it took over, by `"reference"` (the same memory) or by one
   * `"copy"`. All others are new.
   */
  get taken(): ReadonlyMap<string, Inheritance> {
    return this.#current?.role === "server" ? this.#current.adopted : new Map();
  }

  /**
   * Resolves when the peer has ended: closed (with `undefined`), or because the next server has another version or schema
   * (with an error).
   */
  get closed(): Promise<Error | undefined> {
    return this.#closed.promise;
  }

  /**
   * Opens a region, in either role, waiting for a server if the last one is gone. What is opened in the server's role is
   * closed when the role ends; in the client's role it is orphaned then.
   *
   * @param name its name
   * @param options whether to write, and when to give up
   * @returns the region, which belongs to the caller and is closed with the peer at the latest
   * @throws {Deno.errors.NotFound} if the server has no such region
   * @throws {Deno.errors.NotCapable} if it is to be written, and clients may only read it; in the server's role
   *   {@linkcode region} gives it
   * @throws {TypeError} if the peer is closed, or an option is not valid
   * @throws {Error} if something keeps this peer from the next server; it goes on trying
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
    const linked = await this.#openLinked(name, { write, prefault, signal });
    return write ? new WritableRegion(linked) : new ReadableRegion(linked);
  }

  /**
   * A region of this server, in its newest generation.
   *
   * @param name its name
   * @returns the region, which is closed when this peer is no longer the server
   * @throws {TypeError} in the client's role
   * @throws {Deno.errors.NotFound} if there is none of that name
   */
  region(name: string): WritableRegion {
    if (this.#current?.role === "server") return this.#current.region(name);
    throw new TypeError(
      `Cannot give the region "${name}": this peer is not the server of "${this.name}"; use open()`,
    );
  }

  /**
   * Follows a region over all servers, in either role: see {@linkcode Client.follow}. A peer that serves is not woken by
   * its own commits.
   *
   * @param name its name
   * @param options whether to write, when to stop, how long to spin
   * @returns the region, again and again; leaving the loop closes it
   * @throws {TypeError} if an option is not valid
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
    const openLinked: FollowSource["openLinked"] = (region, how) => this.#openLinked(region, how);
    return follow({ openLinked, stopped: this.#stop.signal, reconnects: true }, name, options);
  }

  /** Closes every region and all connections. Where this peer is the server, another takes over. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close(undefined);
    return this.#closing;
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(error: Error | undefined): Promise<void> {
    this.#stop.abort(error ?? new TypeError(`Cannot use the peer of "${this.name}": it is closed`));
    this.#connected = false;
    await this.#current?.close();
    await this.#living;
    await Promise.all([...this.#retired].map((client) => client.close()));
    await this.#keeper.close();
    await this.#broker.release();
    this.#closed.resolve(error);
  }

  async #openLinked(name: string, options: OpenRegionOptions): Promise<LinkedRegion> {
    const { signal, write, prefault } = options;
    const until = signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal]);
    for (;;) {
      if (this.#trouble !== undefined) throw this.#trouble;
      const { end, over } = await aborted(this.#term, until);
      try {
        if (end.role === "client") return await end.openLinked(name, { ...options, signal: until });
        if (write) checkWritable(end, name);
        return end.open(name, prefault);
      } catch (error) {
        const isOver = end.role === "client" ? !end.connected : end.ending;
        if (!isOver) throw error;
      }
      await aborted(over, until);
    }
  }

  /** Goes from term to term until the peer is closed. */
  async #live(first: Server | Client, firstOver: PromiseWithResolvers<void>): Promise<void> {
    let end = first;
    let over = firstOver;
    while (!this.#stop.signal.aborted) {
      const error = await end.closed;
      if (this.#stop.signal.aborted) return;
      const term = Promise.withResolvers<Term>();
      term.promise.catch(() => {}); // told to those who open something
      this.#term = term.promise;
      this.#leave(end, error);
      over.resolve();
      try {
        end = await this.#elect(false);
      } catch (error) {
        term.reject(error);
        this.#closing ??= this.#fail(error as Error);
        return;
      }
      if (this.#stop.signal.aborted) return await end.close();
      over = Promise.withResolvers<void>();
      const before = this.#role;
      this.#begin(end);
      term.resolve({ end, over: over.promise });
      if (this.#role !== before) this.dispatchEvent(new RoleChangeEvent(this.#role));
      if (end.role === "client") this.dispatchEvent(new ConnectEvent(this.#pid));
    }
  }

  /** Closes from within {@linkcode #live}, which is over by then. */
  async #fail(error: Error): Promise<void> {
    await Promise.resolve();
    await this.#close(error);
  }

  #begin(end: Server | Client): void {
    this.#current = end;
    this.#role = end.role;
    this.#pid = end.role === "client" ? end.pid : Deno.pid;
    this.#connected = true;
  }

  /** A term is over: the server is gone, or this peer was replaced as the server. */
  #leave(end: Server | Client, error: Error | undefined): void {
    this.#connected = false;
    this.#current = undefined;
    if (end.role === "server") return;
    this.#retired.add(end);
    void end.retire().then(() => this.#retired.delete(end));
    this.dispatchEvent(new DisconnectEvent(error ?? new Error(`The server of "${this.name}" is gone`)));
  }

  /** Becomes the server or finds it, however often that has to be tried. */
  async #elect(isFirst: boolean): Promise<Server | Client> {
    const { signal } = this.#stop;
    for (let attempt = 0;; attempt++) {
      signal.throwIfAborted();
      try {
        const end = await this.#stand();
        this.#trouble = undefined;
        return end;
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        // The server that the broker told may have died, as the one before it: the next try asks again.
        const isGone = error instanceof ConnectionError;
        if (error instanceof IncompatibleError || (isFirst && !isGone)) throw error;
        if (!isGone) this.#trouble = error as Error;
      }
      await backOff(attempt, LONGEST_PAUSE, signal);
    }
  }

  /** Registers: becomes the server if nobody else is, or connects to whoever is. */
  async #stand(): Promise<Server | Client> {
    const { signal } = this.#stop;
    const estate = this.#keeper.regions;
    const hasEstate = estate.length > 0;
    // What this peer has mapped is not made anew, and not copied before it is clear that it serves.
    const options = hasEstate ? { ...this.#options, regions: {} } : this.#options;
    const server = await prepare(this.name, { ...options, signal, adopt: true });
    try {
      const reply = await aborted(server.register("join", signal), signal);
      if (!reply.registered) {
        const client = await this.#connect(reply);
        await server.close();
        return client;
      }
      if (hasEstate) await server.inherit(estate, this.#options);
      else await aborted(server.adopt(reply, signal), signal);
      await this.#keeper.close();
      return server;
    } catch (error) {
      await server.close();
      throw error;
    }
  }

  /** Connects to a server and maps what it has. */
  async #connect(found: FoundService): Promise<Client> {
    const { generation } = found;
    const { signal } = this.#stop;
    const plan: ClientPlan = {
      begin: (search, until) => search.at(found, until),
      estate: () => this.#keeper.regions,
      regionsChanged: () => this.#keeper.changed(),
    };
    const { broker, requirement } = this.#options;
    const options = { broker, requirement, reconnect: false, signal };
    const client = await new Client(this.name, BrokerClient.acquire(broker), this.#schema, options, plan)
      .start();
    try {
      await this.#keeper.use(await client.link, signal);
      void this.#standBy(client, generation);
      return client;
    } catch (error) {
      await client.close();
      throw error;
    }
  }

  /**
   * Lets the broker count this peer among those who wait for the next server. An app that joins when the server has just
   * died, and registers first, then knows that others have content.
   */
  async #standBy(client: Client, generation: number): Promise<void> {
    const isOver = new AbortController();
    void client.closed.then(() => isOver.abort());
    try {
      for (let after = generation;;) {
        const found = await this.#broker.lookup(this.name, after, isOver.signal);
        found.endpoint[Symbol.dispose]();
        after = found.generation; // the server registered again
      }
    } catch {
      // The term is over, or no broker counts anybody.
    }
  }
}

/** The same rule in both roles: code that works in one works in the other. */
function checkWritable(server: Server, name: string): void {
  if (server.region(name).clients === "write") return;
  throw new Deno.errors.NotCapable(
    `Cannot open "${name}" for writing: clients may only read it; while this peer is the server, use region()`,
  );
}
