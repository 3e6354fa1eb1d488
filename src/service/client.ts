import { ConnectionError } from "../xpc/mod.ts";
import type { Layout } from "../layout/types.ts";
import { checkServiceName } from "../xpc/service_name.ts";
import { aborted } from "../broker/abort.ts";
import { BrokerClient, type BrokerSelection } from "../broker/broker_client.ts";
import type { ClientLink, OpenRegionOptions } from "../link/client_link.ts";
import type { LinkedRegion } from "../link/linked_region.ts";
import { LinkedStream } from "../link/linked_stream.ts";
import { openChannel } from "../link/open_channel.ts";
import { Channel } from "../exchange/channel.ts";
import { LoopTurns } from "../sync/loop_turns.ts";
import { type FrameOrder, StreamReader } from "../exchange/stream_reader.ts";
import {
  checkChannelOpenOptions,
  checkConnectOptions,
  checkLockOptions,
  checkOpenOptions,
  checkStreamOpenOptions,
} from "./options.ts";
import { hashSchema } from "../link/protocol.ts";
import type { Messages } from "../exchange/messages_queue.ts";
import type { MessageValue } from "../exchange/messages_values.ts";
import { ReadableRegion, WritableRegion } from "../exchange/region.ts";
import type { RegionDescription } from "../link/description.ts";
import { checkMessageOptions, type MessageOptions } from "../link/messages_outbox.ts";
import { PeerGoneError } from "../sync/errors.ts";
import { signalOf, spinOf } from "../sync/waiting.ts";
import { ClientMessages } from "./client_messages.ts";
import { type AnyLock, checkKind, type LockKinds, wrapLock } from "../exchange/locks.ts";
import type { LockKind } from "../link/lock_spec.ts";
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
  /**
   * What this client calls itself: its `name` among the server's `peers`. 1 to 128 printable characters.
   *
   * @default {undefined}
   */
  label?: string | undefined;
  /**
   * Answers the requests of the server: what it returns is the answer, what it throws reaches the server as a
   * {@linkcode RemoteError}. Descriptors and the like in the value are closed after the answer.
   */
  request?: ((value: MessageValue) => MessageValue | void | Promise<MessageValue | void>) | undefined;
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
  /**
   * The layout that this app expects. If the server gave the region another one, `open` fails and names the first field
   * that differs.
   *
   * @default {undefined}
   */
  layout?: Layout | undefined;
  /** Ends the wait for the server, where it is gone. */
  signal?: AbortSignal | undefined;
}

/** Options of {@linkcode Client.stream}. */
export interface OpenStreamOptions {
  /**
   * Which frames to see: `"newest"`, the newest whenever the reader looks, or `"every"`, one after the other while the
   * slots last. A writer that uses `loanAsync()` waits for readers of every frame.
   *
   * @default {"newest"}
   */
  order?: FrameOrder | undefined;
  /** Ends the wait for the server, where it is gone, and each wait for a frame in a loop, with the signal's reason. */
  signal?: AbortSignal | undefined;
  /**
   * How long a loop spins for a frame before it parks on the event loop, in microseconds, at most 1000. While it spins,
   * nothing else runs in this realm.
   *
   * @default {50}
   */
  spin?: number | undefined;
}

/** Options of {@linkcode Client.lock}. */
export interface LockOptions {
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
  readonly #messages: ClientMessages;
  readonly #stop = new AbortController();
  readonly #closed = Promise.withResolvers<Error | undefined>();
  /** Resolves when the server is gone and nothing of it is open; only without `reconnect`. */
  readonly #unused = Promise.withResolvers<void>();
  /** The link that lives, and links whose server is gone while regions of them are open. */
  readonly #links = new Set<ClientLink>();
  #link: Promise<ClientLink>;
  /** The link, while its server is there. */
  #current: ClientLink | undefined;
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
    const { signal, requirement, label, request } = options;
    this.#messages = new ClientMessages(request, (region, { write = false, signal }) => {
      return write ? this.open(region, { write, signal }) : this.open(region, { signal });
    });
    const messages = this.#messages.handlers;
    const target = { name, schema, requirement, label, messages, estate, regionsChanged };
    this.#search = new ServerSearch(broker, target);
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
   * @throws {IncompatibleError} if its layout is another than the one that was expected
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
    const layout = options.layout?.description;
    const linked = await this.openLinked(name, { write, prefault, layout, signal });
    return write ? new WritableRegion(linked) : new ReadableRegion(linked);
  }

  /** @internal Opens a region, waiting for a server if the last one is gone. */
  async openLinked(name: string, options: OpenRegionOptions): Promise<LinkedRegion> {
    return await this.#onLink(options.signal, (link, signal) => link.region(name, { ...options, signal }));
  }

  /**
   * Opens a stream, waiting for a server if the last one is gone.
   *
   * @param name its name
   * @param options which frames to see, and when to give up
   * @returns the stream, which belongs to the caller and is closed with the client at the latest
   * @throws {Deno.errors.NotFound} if the server has no such stream
   * @throws {TypeError} if the client is closed, or an option is not valid
   * @throws {Error} as of {@linkcode open}
   * @throws the signal's reason, if it aborts first
   * @example
   * ```ts
   * import { assert } from "@std/assert";
   * import { connect, serve } from "@xpc/shmem";
   *
   * await using server = await serve("com.example.frames", { streams: { video: { byteLength: 4096 } } });
   * await using client = await connect("com.example.frames");
   * const video = await client.stream("video", { order: "every" });
   * for (let number = 1; number <= 2; number++) {
   *   using frame = server.stream("video").loan();
   *   frame.view(Uint8Array)[0] = number;
   *   frame.publish();
   * }
   * for await (using frame of video) {
   *   assert(frame.view(Uint8Array)[0] === frame.sequence);
   *   if (frame.sequence === 2) break;
   * }
   * ```
   */
  async stream(name: string, options: OpenStreamOptions = {}): Promise<StreamReader> {
    checkStreamOpenOptions(name, options);
    const { order = "newest", signal } = options;
    const spin = spinOf(options);
    const every = order === "every";
    return await this.#onLink(signal, async (link, until) => {
      const first = await LinkedStream.open(link, name, { every, last: -1, signal: until });
      const reopen = (last: number): Promise<LinkedStream> => {
        return LinkedStream.open(link, name, { every, last, signal: this.#stop.signal });
      };
      return new StreamReader(first, order, reopen, { signal, spin });
    });
  }

  /**
   * Opens a channel, waiting for a server if the last one is gone. A client opens each channel once; when it has closed it,
   * it may open it again.
   *
   * @param name its name
   * @param options when to give up
   * @returns the channel, which belongs to the caller and is closed with the client at the latest
   * @throws {Deno.errors.NotFound} if the server has no such channel
   * @throws {TypeError} if the client is closed, or an option is not valid
   * @throws {Error} if this client has opened it already; and as of {@linkcode open}
   * @throws the signal's reason, if it aborts first
   */
  async channel(name: string, options: Pick<OpenOptions, "signal"> = {}): Promise<Channel> {
    checkChannelOpenOptions(name, options);
    return await this.#onLink(options.signal, async (link, until) => {
      const linked = await openChannel(link, name, until);
      return new Channel(linked, new LoopTurns(link.queue.library.shim));
    });
  }

  /** Does something with the link that lives; when its server dies meanwhile, with the next one. */
  async #onLink<T>(
    signal: AbortSignal | undefined,
    use: (link: ClientLink, until: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const until = signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal]);
    for (;;) {
      if (this.#trouble !== undefined) throw this.#trouble;
      const link = await aborted(this.#link, until);
      try {
        return await use(link, until);
      } catch (error) {
        // The server died meanwhile: the next one has it too, or says that it does not.
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

  /**
   * Asks the server, whose `request` handler answers. Waits for a server if the last one is gone. A request is sent
   * once: if the server goes before it answered, it may have done what was asked, or not.
   *
   * @param value the request, captured when there is a server
   * @param options how long to wait
   * @returns the answer; descriptors and the like in it belong to the caller
   * @throws {RemoteError} if the server's handler threw
   * @throws {PeerGoneError} if the server goes before it answered
   * @throws {TypeError} if the server has no `request` handler, for a value that cannot be sent, or if the client is
   *   closed
   * @throws {RangeError} for a value that is too large, too deep or out of range
   * @throws {DOMException} `TimeoutError` if there is no answer in time
   * @throws the signal's reason, if it aborts first
   * @example
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { connect, serve } from "@xpc/shmem";
   *
   * await using _server = await serve("com.example.request", {
   *   regions: {},
   *   request: (value) => typeof value === "number" ? value * 2 : null,
   * });
   * await using client = await connect("com.example.request");
   * assertEquals(await client.request(21, { timeout: 1000 }), 42);
   * ```
   */
  async request(value: MessageValue, options: MessageOptions = {}): Promise<MessageValue> {
    checkMessageOptions(options);
    return await this.#exchange(options, (link, within) => this.#messages.request(link, value, within));
  }

  /**
   * Sends a message to the server, whose `message` handler takes it. Messages arrive in the order in which they were
   * sent, or not at all where the server dies.
   *
   * @param value the message, captured at once
   * @throws {BacklogError} if 8192 messages or 16 MiB are under way, because the server does not take them
   * @throws {PeerGoneError} if there is no server now
   * @throws {TypeError} for a value that cannot be sent, naming it; and where the server has no `message` handler, which
   *   the first message cannot know
   * @throws {RangeError} for a value that is too large, too deep or out of range
   */
  send(value: MessageValue): void {
    this.#stop.signal.throwIfAborted();
    this.#messages.send(this.#current, value);
  }

  /**
   * Sends a message, and waits before: for a server if the last one is gone, and for room where it is slow.
   *
   * @param value the message, captured when there is room
   * @param options how long to wait
   * @throws {PeerGoneError} if the server goes meanwhile
   * @throws {TypeError} if the server has no `message` handler, for a value that cannot be sent, or if the client is
   *   closed
   * @throws {RangeError} for a value that is too large, too deep or out of range
   * @throws {DOMException} `TimeoutError` if there is no room in time
   * @throws the signal's reason, if it aborts first
   */
  async sendAsync(value: MessageValue, options: MessageOptions = {}): Promise<void> {
    checkMessageOptions(options);
    await this.#exchange(options, (link, within) => this.#messages.sendAsync(link, value, within));
  }

  /**
   * The messages that the server sends to this client, also those that came before this call. Messages wait here until
   * they are taken, and those that the server may have under way are bounded. Each goes to one iteration.
   *
   * @param options ends the iteration with the signal's reason
   * @returns the messages; they end when the client is closed. Descriptors and the like in them belong to the caller
   * @throws {PeerGoneError} from `next()`, without `reconnect`, when the server is gone and all that came is taken
   */
  messages(options: { signal?: AbortSignal | undefined } = {}): Messages {
    return this.#messages.messages(signalOf(options));
  }

  /**
   * Lists the server's regions. Waits for a server if the last one is gone.
   *
   * @param options how long to wait
   * @returns the regions
   * @throws {PeerGoneError} if the server goes before it answered
   * @throws {TypeError} if the client is closed
   * @throws {DOMException} `TimeoutError` if there is no answer in time
   * @throws the signal's reason, if it aborts first
   */
  async regions(options: MessageOptions = {}): Promise<RegionDescription[]> {
    checkMessageOptions(options);
    return await this.#exchange(
      { signal: this.#untilOf(options) },
      (link, { signal }) => link.describe(signal),
    );
  }

  /** Does something with the server that is there, at once, or with the next one. */
  async #exchange<T>(
    options: MessageOptions,
    act: (link: ClientLink, options: MessageOptions) => Promise<T>,
  ): Promise<T> {
    try {
      if (this.#current !== undefined) return await act(this.#current, options);
      if (this.#trouble !== undefined) throw this.#trouble;
      const signal = this.#untilOf(options);
      return await act(await aborted(this.#link, signal), { signal });
    } catch (error) {
      this.#stop.signal.throwIfAborted(); // that is why
      throw error instanceof ConnectionError ? new PeerGoneError(GONE) : error;
    }
  }

  /** Aborts when the client is closed, the time is over, or the caller wants no more. */
  #untilOf({ signal, timeout }: MessageOptions): AbortSignal {
    const signals = [this.#stop.signal];
    if (signal !== undefined) signals.push(signal);
    if (timeout !== undefined && timeout <= MAX_TIMEOUT) signals.push(AbortSignal.timeout(timeout));
    return signals.length === 1 ? this.#stop.signal : AbortSignal.any(signals);
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
    const linked = await this.#onLink(signal, (link, until) => link.lock(name, until));
    if (kind !== undefined && linked.kind !== kind) await linked.close();
    checkKind(name, linked.kind, kind);
    return wrapLock(linked);
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

  /** @internal Closes the client, whose server is gone, when the last of its regions is closed. */
  async retire(): Promise<void> {
    await this.#unused.promise;
    await this.close();
  }

  async #close(): Promise<void> {
    this.#stop.abort(new TypeError(`Cannot use the client of "${this.name}": it is closed`));
    this.#messages.close();
    await this.#link.catch(() => {}); // told to those who waited for it
    await Promise.all([...this.#links].map((link) => link.close()));
    this.#messages.gate.close();
    await this.#broker.release();
    this.#connected = false;
    this.#current = undefined;
    this.#closed.resolve(undefined);
  }

  #adopt(link: ClientLink): ClientLink {
    this.#links.add(link);
    this.#current = link;
    this.#connected = true;
    this.#messages.gate.open();
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
    this.#current = undefined;
    if (this.#options.reconnect === false) {
      this.#messages.orphan(new PeerGoneError(GONE));
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

/** What happened to a request whose server went. */
const GONE = "Cannot go on with the server: it is gone";

/** The longest time that a signal can wait, in milliseconds; longer ones are as good as none. */
const MAX_TIMEOUT = 2 ** 31 - 1;

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
