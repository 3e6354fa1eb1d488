import { checkServiceName } from "../xpc/service_name.ts";
import { aborted } from "../broker/abort.ts";
import { BrokerClient, type BrokerListener, type BrokerSelection } from "../broker/broker_client.ts";
import { type BrokerEvent, RefusedError, type RegisterReply } from "../broker/replies.ts";
import { hashSchema } from "../link/protocol.ts";
import { Host } from "../link/host.ts";
import { inherit, type Inheritance, legacyOf } from "../link/estate.ts";
import type { LinkedRegion } from "../link/linked_region.ts";
import type { LinkedLock } from "../link/linked_lock.ts";
import type { LockKind, LockSpec } from "../link/lock_spec.ts";
import type { RegionOptions } from "../link/served_region.ts";
import type { StreamOptions } from "../link/stream_options.ts";
import type { ChannelOptions } from "../link/channel_options.ts";
import type { LinkedChannel } from "../link/linked_channel.ts";
import { Channel } from "../exchange/channel.ts";
import { ChannelHub } from "../exchange/channel_hub.ts";
import type { ConnectedClient } from "../exchange/connected_client.ts";
import { type AnyLock, checkKind, type LockKinds, wrapLock } from "../exchange/locks.ts";
import { WritableRegion } from "../exchange/region.ts";
import { LoopTurns } from "../sync/loop_turns.ts";
import { StreamWriter } from "../exchange/stream_writer.ts";
import { NameTakenError } from "./errors.ts";
import { expectationOf } from "./expectation.ts";
import { checkServeOptions } from "./options.ts";
import { type ServerHandlers, ServerPeers } from "./server_peers.ts";

/** Options of {@linkcode serve}. */
export interface ServeOptions extends ServerHandlers {
  /**
   * The regions, by name. More can be added later.
   *
   * @default {{}} where there are streams, channels or locks
   */
  regions?: Readonly<Record<string, RegionOptions>> | undefined;
  /**
   * The streams, by name. More can be added later.
   *
   * @default {{}}
   */
  streams?: Readonly<Record<string, StreamOptions>> | undefined;
  /**
   * The channels, by name. More can be added later.
   *
   * @default {{}}
   */
  channels?: Readonly<Record<string, ChannelOptions>> | undefined;
  /**
   * The locks, by name, each of its kind. More can be added later.
   *
   * @default {{}}
   */
  locks?: Readonly<Record<string, LockSpec>> | undefined;
  /**
   * What to do if another app serves the name: fail, or take its place (the other server ends).
   *
   * @default {"reject"}
   */
  policy?: "reject" | "replace" | undefined;
  /**
   * What both apps agree on about the content, such as "frames v3". Clients with another one are refused.
   *
   * @default {undefined}
   */
  schema?: string | undefined;
  /**
   * Whether to take over, from clients of the last server of this name, the regions that they still have, where they are
   * of the same length and `clients`: a server that was killed and starts again goes on where it was. A region that
   * clients may write stays the same memory; one that they only read is copied. `adopted` tells which. It believes
   * what such a client says is the content.
   *
   * Clients keep for that what they open from a server with `adopt`, and give it while they have it open. `serve()`
   * waits for the clients that wait for the server, for at most two seconds.
   *
   * @default {false}
   */
  adopt?: boolean | undefined;
  /** Ends the wait for the broker with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** The broker to register with. */
  broker?: BrokerSelection | undefined;
  /** A code-signing requirement for clients. macOS only. */
  requirement?: string | undefined;
}

/** A server of regions under a name. It registers again by itself when the broker dies. */
export class Server implements AsyncDisposable {
  /** Discriminates the result of `join()`. */
  readonly role = "server";
  /** The name of the service. */
  readonly name: string;
  readonly #host: Host;
  readonly #peers: ServerPeers;
  readonly #broker: BrokerClient;
  readonly #closed = Promise.withResolvers<Error | undefined>();
  readonly #listener: BrokerListener;
  readonly #streams = new Map<string, StreamWriter>();
  readonly #wrappedChannels = new WeakMap<LinkedChannel, Channel>();
  readonly #wrapped = new WeakMap<LinkedRegion, WritableRegion>();
  readonly #wrappedLocks = new WeakMap<LinkedLock, AnyLock>();
  #generation = 0;
  #adopted: ReadonlyMap<string, Inheritance> = new Map();
  /** The last event that a registration was replaced whose own reply has not come yet. */
  #replacedEarly: { generation: number; pid: number } | undefined;
  #closing: Promise<void> | undefined;

  /** @internal Takes over the host and one use of the broker client. */
  constructor(name: string, host: Host, peers: ServerPeers, broker: BrokerClient) {
    this.name = name;
    this.#host = host;
    this.#peers = peers;
    peers.openBy((region) => Promise.resolve().then(() => this.region(region)));
    this.#broker = broker;
    this.#listener = {
      reconnected: () => void this.#again(),
      event: (event) => this.#event(event),
    };
  }

  /** How many clients are connected. */
  get clients(): number {
    return this.#host.clients;
  }

  /**
   * The clients that are connected, to send to them and to ask them. It changes as they come and go.
   */
  get peers(): ReadonlySet<ConnectedClient> {
    return this.#peers.peers;
  }

  /** The names of the regions. */
  get regions(): string[] {
    return [...this.#host.regions.keys()];
  }

  /**
   * The regions whose memory came from a client of the last server, with `adopt`: by `"reference"`, the same memory, or
   * by one `"copy"`. All others are new.
   */
  get adopted(): ReadonlyMap<string, Inheritance> {
    return this.#adopted;
  }

  /** @internal Whether the server has ended, or is about to. */
  get ending(): boolean {
    return this.#closing !== undefined;
  }

  /** Resolves when the server has ended: closed (with `undefined`), or replaced (with {@linkcode NameTakenError}). */
  get closed(): Promise<Error | undefined> {
    return this.#closed.promise;
  }

  /**
   * A region, in its newest generation.
   *
   * @param name its name
   * @returns the region, which the server closes
   * @throws {Deno.errors.NotFound} if there is none of that name
   */
  region(name: string): WritableRegion {
    return this.#wrap(this.#host.region(name));
  }

  /**
   * Adds a region.
   *
   * @param name its name, 1 to 128 characters
   * @param options its length, and what clients may do
   * @returns the region
   * @throws {TypeError} if there is one of that name (use {@linkcode replace}), an option is not valid, or the server
   *   is closed
   * @throws {RangeError} if the length is not valid, or there are 256 regions
   */
  async add(name: string, options: RegionOptions): Promise<WritableRegion> {
    return this.#wrap(await this.#host.add(name, options));
  }

  /**
   * Puts a new, zeroed region in the place of another: that is how a region changes its size. The old one is
   * closed here; clients keep what they mapped, learn of the new generation from `changes()`, and open it anew.
   *
   * @param name its name
   * @param options its length; what clients may do stays
   * @returns the region
   * @throws {Deno.errors.NotFound} if there is none of that name
   * @throws {TypeError} if an option is not valid, or the server is closed
   * @throws {RangeError} if the length is not valid
   */
  async replace(name: string, options: RegionOptions): Promise<WritableRegion> {
    return this.#wrap(await this.#host.replace(name, options));
  }

  /**
   * Removes a region, and closes it here. Clients keep what they mapped; `changes()` tells them, and `open` finds none.
   *
   * @param name its name
   * @throws {Deno.errors.NotFound} if there is none of that name
   * @throws {TypeError} if the server is closed
   */
  async remove(name: string): Promise<void> {
    await this.#host.remove(name);
  }

  /** The names of the streams. */
  get streams(): string[] {
    return this.#host.streams.names;
  }

  /**
   * A stream, to write frames in. It stays the same object when the stream is replaced.
   *
   * @param name its name
   * @returns the stream, which the server closes
   * @throws {Deno.errors.NotFound} if there is none of that name
   */
  stream(name: string): StreamWriter {
    this.#host.streams.get(name); // throws
    let stream = this.#streams.get(name);
    if (stream === undefined) {
      stream = new StreamWriter(name, () => this.#host.streams.get(name));
      this.#streams.set(name, stream);
    }
    return stream;
  }

  /**
   * Adds a stream.
   *
   * @param name its name, 1 to 128 characters
   * @param options the length of a frame, and how many slots there are
   * @returns the stream
   * @throws {TypeError} if there is one of that name (use {@linkcode replaceStream}), an option is not valid, or the
   *   server is closed
   * @throws {RangeError} if a length is not valid, or the service shares 256 things already
   */
  async addStream(name: string, options: StreamOptions): Promise<StreamWriter> {
    await this.#host.streams.add(name, options);
    return this.stream(name);
  }

  /**
   * Gives a stream other slots: that is how the length of its frames changes. Readers follow by themselves; frames that
   * they hold stay readable. The numbers of frames go on.
   *
   * @param name its name
   * @param options the length of a frame, and how many slots there are
   * @returns the stream
   * @throws {Deno.errors.NotFound} if there is none of that name
   * @throws {TypeError} if an option is not valid, or the server is closed
   * @throws {RangeError} if a length is not valid
   */
  async replaceStream(name: string, options: StreamOptions): Promise<StreamWriter> {
    await this.#host.streams.replace(name, options);
    return this.stream(name);
  }

  /** The names of the channels. */
  get channels(): string[] {
    return this.#host.channels.names;
  }

  /**
   * A channel: what clients have opened under this name.
   *
   * @param name its name
   * @returns the channels of all clients that opened it
   * @throws {Deno.errors.NotFound} if there is none of that name
   */
  channel(name: string): ChannelHub {
    return new ChannelHub(this.#host.channels.get(name), (linked) => this.#wrapChannel(linked));
  }

  /**
   * Adds a channel, which clients can open from now on.
   *
   * @param name its name, 1 to 128 characters
   * @param options the length of its rings
   * @returns the channels of all clients that open it
   * @throws {TypeError} if there is one of that name, an option is not valid, or the server is closed
   * @throws {RangeError} if the length is not valid, or the service shares 256 things already
   */
  addChannel(name: string, options: ChannelOptions): ChannelHub {
    this.#host.channels.add(name, options);
    return this.channel(name);
  }

  #wrapChannel(linked: LinkedChannel): Channel {
    let channel = this.#wrappedChannels.get(linked);
    if (channel === undefined) {
      channel = new Channel(linked, new LoopTurns(this.#host.queue.library.shim));
      this.#wrappedChannels.set(linked, channel);
    }
    return channel;
  }

  /** The names of the locks. */
  get locks(): string[] {
    return this.#host.lockNames;
  }

  /**
   * A lock.
   *
   * @param name its name
   * @param kind its kind, so that its type is known
   * @returns the lock, which the server closes
   * @throws {Deno.errors.NotFound} if there is none of that name
   * @throws {TypeError} if it is of another kind
   */
  lock<K extends LockKind>(name: string, kind: K): LockKinds[K];
  /**
   * A lock of any kind; `lock.kind` tells which.
   *
   * @param name its name
   * @returns the lock
   */
  lock(name: string): AnyLock;
  lock(name: string, kind?: LockKind): AnyLock {
    const linked = this.#host.lock(name);
    checkKind(name, linked.kind, kind);
    return this.#wrapLock(linked);
  }

  /**
   * Adds a lock.
   *
   * @param name its name, 1 to 128 characters
   * @param spec its kind
   * @returns the lock, which the server closes
   * @throws {TypeError} if there is one of that name, it is no kind of lock, or the server is closed
   * @throws {RangeError} if a semaphore is too large, or the service shares 256 things already
   */
  async addLock(name: string, spec: LockSpec): Promise<AnyLock> {
    return this.#wrapLock(await this.#host.addLock(name, spec));
  }

  #wrapLock(linked: LinkedLock): AnyLock {
    let lock = this.#wrappedLocks.get(linked);
    if (lock === undefined) this.#wrappedLocks.set(linked, lock = wrapLock(linked));
    return lock;
  }

  #wrap(linked: LinkedRegion): WritableRegion {
    let region = this.#wrapped.get(linked);
    if (region === undefined) this.#wrapped.set(linked, region = new WritableRegion(linked));
    return region;
  }

  /** Ends the registration and all connections, closes every region. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close(undefined);
    return this.#closing;
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /**
   * @internal Registers the name.
   *
   * @throws {NameTakenError} if another app serves it
   */
  async register(
    policy: "reject" | "replace" | "join",
    signal: AbortSignal | undefined,
  ): Promise<RegisterReply> {
    let other = this.#otherHere();
    for (; other?.ending === true; other = this.#otherHere()) await other.closed; // it gives the name up
    if (other !== undefined) {
      // The broker sees this realm as one peer, and would let it register its own name anew.
      if (policy === "join") return { registered: false, ...await this.#broker.lookup(this.name, 0, signal) };
      if (policy === "reject") throw new NameTakenError(this.name, Deno.pid);
      await other.#evict(Deno.pid);
    }
    this.#broker.claims.set(this.name, this);
    // Before the reply: the broker may die right after it.
    this.#broker.add(this.#listener);
    const reply = await this.#register(policy, signal);
    if (!reply.registered && this.#broker.claims.get(this.name) === this) {
      this.#broker.claims.delete(this.name);
    }
    return reply;
  }

  /** The other server of this realm that has the name. */
  #otherHere(): Server | undefined {
    const other = this.#broker.claims.get(this.name);
    return other instanceof Server && other !== this ? other : undefined;
  }

  /** @internal Takes over what clients of the last server have of the regions, after the registration. */
  async adopt({ waiting }: { readonly waiting: number }, signal: AbortSignal | undefined): Promise<void> {
    this.#adopted = await this.#host.adopt(await expectationOf(this.#broker, waiting, signal));
  }

  /** @internal Takes over memory of the last server that this process has, after the registration. */
  async inherit(estate: readonly LinkedRegion[], options: Pick<ServeOptions, "regions">): Promise<void> {
    const adopted = new Map<string, Inheritance>();
    for (const region of estate) {
      using memory = region.mapping.share();
      const heirloom = await inherit(legacyOf(region), memory);
      this.#host.inherit(heirloom);
      adopted.set(region.name, heirloom.inheritance);
    }
    for (const [name, regionOptions] of Object.entries(options.regions ?? {})) {
      if (!this.#host.regions.has(name)) await this.#host.add(name, regionOptions);
    }
    this.#adopted = adopted;
    this.#host.ready();
  }

  /** @internal Maps a region once more, for a user who closes it without closing the server's. */
  open(name: string, prefault: boolean): LinkedRegion {
    return this.#host.open(name, prefault);
  }

  async #register(
    policy: "reject" | "replace" | "join",
    signal: AbortSignal | undefined,
  ): Promise<RegisterReply> {
    using endpoint = this.#host.endpoint();
    try {
      const reply = await this.#broker.register(
        { name: this.name, endpoint, policy, after: this.#generation },
        signal,
      );
      // Where two brokers died in a row, two of these may be under way: the newest counts.
      if (reply.registered) {
        this.#generation = Math.max(this.#generation, reply.generation);
        this.#peers.gate.open();
      }
      if (this.#replacedEarly?.generation === this.#generation) this.#replaced(this.#replacedEarly.pid);
      return reply;
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      if (error.holder !== undefined) throw new NameTakenError(this.name, error.holder);
      throw new Error(`Cannot serve "${this.name}": ${error.message}`, { cause: error });
    }
  }

  /** Registers at the next broker. A server that was there before takes the name back from one that came meanwhile. */
  async #again(): Promise<void> {
    if (this.#generation === 0 || this.#closing !== undefined) return;
    try {
      await this.#register("replace", undefined);
    } catch (error) {
      if (this.#closing === undefined) this.#closing = this.#close(error as Error);
    }
  }

  #event(event: BrokerEvent): void {
    if (event.event !== "replaced" || event.name !== this.name) return;
    // No order is promised between an event and a reply: this one may come before the reply to `register`.
    if (event.generation > this.#generation) this.#replacedEarly = event;
    else if (event.generation === this.#generation) this.#replaced(event.pid);
  }

  /** Another app has the registration now: there is nothing to unregister. */
  #replaced(pid: number): void {
    this.#generation = 0;
    void this.#evict(pid);
  }

  /** Another serves the name. */
  #evict(pid: number): Promise<void> {
    this.#closing ??= this.#close(new NameTakenError(this.name, pid));
    return this.#closing;
  }

  async #close(error: Error | undefined): Promise<void> {
    this.#broker.remove(this.#listener);
    await this.#host.close();
    this.#peers.gate.close();
    // After the connections: who looks it up now waits for the next server instead of finding a dead one. Releasing
    // the broker's connection would unregister too, but it may be shared.
    if (this.#generation > 0) {
      const registration = { name: this.name, generation: this.#generation };
      const timeout = new AbortController();
      const timer = setTimeout(() => timeout.abort(), UNREGISTER_TIMEOUT);
      await this.#broker.unregister(registration, timeout.signal).catch(() => {});
      clearTimeout(timer);
    }
    if (this.#broker.claims.get(this.name) === this) this.#broker.claims.delete(this.name);
    await this.#broker.release();
    this.#closed.resolve(error);
  }
}

/** How long to wait for a broker that is not there, in milliseconds: without one nothing is registered. */
const UNREGISTER_TIMEOUT = 2000;

/** @internal Makes a server with its regions that has not registered. */
export async function prepare(
  name: string,
  options: Omit<ServeOptions, "policy">,
): Promise<Server> {
  checkServiceName(name);
  checkServeOptions(name, options);
  options.signal?.throwIfAborted();
  const peers = new ServerPeers(options);
  const host = await Host.create({
    schema: await hashSchema(options.schema),
    requirement: options.requirement,
    messages: peers,
    adopt: options.adopt === true,
  });
  try {
    for (const [region, regionOptions] of Object.entries(options.regions ?? {})) {
      await host.add(region, regionOptions);
    }
    for (const [stream, streamOptions] of Object.entries(options.streams ?? {})) {
      await host.streams.add(stream, streamOptions);
    }
    for (const [channel, channelOptions] of Object.entries(options.channels ?? {})) {
      host.channels.add(channel, channelOptions);
    }
    for (const [lock, spec] of Object.entries(options.locks ?? {})) await host.addLock(lock, spec);
  } catch (error) {
    await host.close();
    throw error;
  }
  return new Server(name, host, peers, BrokerClient.acquire(options.broker));
}

/**
 * Serves regions under a name: makes them, and lets clients connect.
 *
 * @param name the service's name, 1 to 128 characters of `A-Z a-z 0-9 . _ -`
 * @param options the regions, and what to do if the name is taken
 * @returns the server, which clients can connect to
 * @throws {TypeError} if a name is not valid
 * @throws {RangeError} if a length is not valid, or more than this machine has
 * @throws {NameTakenError} if another app serves the name
 * @throws {BrokerUnavailableError} if no broker can be reached
 * @throws the signal's reason, if it aborts first
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { serve } from "@xpc/shmem";
 *
 * await using server = await serve("com.example.serve", {
 *   regions: {
 *     frame: { byteLength: 2 ** 20 },
 *     mask: { byteLength: 2 ** 20, clients: "read" },
 *   },
 * });
 * const frame = server.region("frame");
 * {
 *   using _ = await frame.mutex.lock();
 *   frame.view(Uint8Array).fill(1);
 * }
 * assert(frame.commit() === 1);
 * ```
 */
export async function serve(name: string, options: ServeOptions): Promise<Server> {
  const server = await prepare(name, options);
  const { policy = "reject", adopt = false, signal } = options;
  try {
    const reply = await aborted(server.register(policy, signal), signal);
    if (adopt && reply.registered) await aborted(server.adopt(reply, signal), signal);
    return server;
  } catch (error) {
    await server.close();
    throw error;
  }
}
