import { ConnectionError } from "../xpc/mod.ts";
import { checkServiceName } from "../xpc/service_name.ts";
import { aborted } from "../broker/abort.ts";
import { BrokerClient, type BrokerSelection } from "../broker/broker_client.ts";
import type { ClientLink } from "../link/client_link.ts";
import type { Messages } from "../exchange/messages_queue.ts";
import type { MessageValue } from "../exchange/messages_values.ts";
import { ReadableRegion, WritableRegion } from "../exchange/region.ts";
import type { RegionDescription } from "../link/description.ts";
import { checkMessageOptions, type MessageOptions } from "../link/messages_outbox.ts";
import { PeerGoneError } from "../sync/errors.ts";
import { ClientMessages } from "./client_messages.ts";
import { hashSchema } from "../link/protocol.ts";
import { LinkedStream } from "../link/linked_stream.ts";
import { signalOf, spinOf } from "../sync/waiting.ts";
import { openChannel } from "../link/open_channel.ts";
import { Channel } from "../exchange/channel.ts";
import { Turns } from "../sync/turns.ts";
import { type FrameOrder, StreamReader } from "../exchange/stream_reader.ts";
import {
  checkChannelOpenOptions,
  checkConnectOptions,
  checkOpenOptions,
  checkStreamOpenOptions,
} from "./options.ts";
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
  readonly #messages: ClientMessages;
  readonly #stop = new AbortController();
  readonly #closed = Promise.withResolvers<Error | undefined>();
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
    first?: Found,
  ) {
    this.name = name;
    this.#broker = broker;
    this.#options = options;
    const { signal, requirement, label, request } = options;
    this.#messages = new ClientMessages(request, (region, { write = false, signal }) => {
      return write ? this.open(region, { write, signal }) : this.open(region, { signal });
    });
    const messages = this.#messages.handlers;
    this.#search = new ServerSearch(broker, { name, schema, requirement, label, messages });
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
    const linked = await this.#onLink(
      signal,
      (link, signal) => link.region(name, { write, prefault, signal }),
    );
    return write ? new WritableRegion(linked) : new ReadableRegion(linked);
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
      return new Channel(linked, new Turns(link.queue.library.shim));
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
        if (!(error instanceof ConnectionError) || this.#options.reconnect === false) throw error;
        await aborted(link.closed, until);
      }
    }
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

  /** Closes every region and the connection. Idempotent. */
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
    this.#messages.close();
    await this.#link.catch(() => {}); // told to those who waited for it
    await Promise.all([...this.#links].map((link) => link.close()));
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
    return link;
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
    await link.orphan();
    this.#links.delete(link);
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
