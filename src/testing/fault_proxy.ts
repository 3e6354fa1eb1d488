import "./_library.ts";
import { BrokerClient, type BrokerListener, type BrokerSelection } from "../broker/broker_client.ts";
import { RefusedError } from "../broker/replies.ts";
import { Connection, type ConnectionHandlers, Listener } from "../xpc/mod.ts";
import { Relay } from "./_relay.ts";
import type { FaultPlan } from "./faults.ts";

/** Options of {@linkcode FaultProxy.start}. */
export interface FaultProxyOptions {
  /**
   * The name that clients connect to.
   *
   * @default {the server's name with ".proxy" after it}
   */
  name?: string | undefined;
  /** What goes wrong; of several plans the first that has an action counts. */
  faults?: FaultPlan | readonly FaultPlan[] | undefined;
  /** Which broker knows the server. */
  broker?: BrokerSelection | undefined;
}

/**
 * Stands between clients and a server and passes their messages on, but for those that it delays, drops or closes the
 * connection at. To a client it is a server with faults, to the server a client with faults; neither knows.
 *
 * What passes is the exchange of messages: "hello", "open", "bell". Memory is shared between the two ends themselves,
 * so commits, locks and doorbells do not pass. Both ends see the process of the proxy as their peer.
 *
 * @example A server that dies as its client opens a region
 * ```ts
 * import { assert, assertRejects } from "@std/assert";
 * import { connect, serve } from "@xpc/shmem";
 * import { at, FaultProxy, testSandbox } from "@xpc/shmem/testing";
 *
 * await using sandbox = await testSandbox();
 * const { name, broker } = sandbox;
 * await using _server = await serve(name, { broker, regions: { frame: { byteLength: 4096 } } });
 * await using proxy = await FaultProxy.start(name, { broker, faults: at({ op: "open", nth: 1 }, "close") });
 *
 * await using client = await connect(proxy.name, { broker, reconnect: false });
 * await assertRejects(() => client.open("frame"));
 * assert(await client.closed instanceof Error);
 * ```
 */
export class FaultProxy implements AsyncDisposable {
  /** The name that clients connect to. */
  readonly name: string;
  /** The name of the server behind it. */
  readonly target: string;
  readonly #broker: BrokerClient;
  readonly #plans: readonly FaultPlan[];
  readonly #relays = new Set<Relay>();
  readonly #ending = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  readonly #events: BrokerListener = { reconnected: () => void this.#again() };
  #listener: Listener | undefined;
  #count = 0;
  #generation = 0;
  #closing: Promise<void> | undefined;

  private constructor(target: string, options: FaultProxyOptions) {
    const { name = `${target}.proxy`, faults = [], broker } = options;
    this.name = name;
    this.target = target;
    this.#plans = typeof faults === "function" ? [faults] : faults;
    this.#broker = BrokerClient.acquire(broker);
  }

  /**
   * Starts a proxy. The server may come later: a client that connects before waits for it.
   *
   * @param target the server's name
   * @param options the proxy's own name, and what goes wrong
   * @returns the proxy, which clients can connect to
   * @throws {Error} if the proxy's name is taken or not valid
   */
  static async start(target: string, options: FaultProxyOptions = {}): Promise<FaultProxy> {
    const proxy = new FaultProxy(target, options);
    try {
      proxy.#claim();
      proxy.#listener = await Listener.anonymous((connection) => proxy.#accept(connection));
      proxy.#broker.add(proxy.#events);
      await proxy.#register("reject");
      return proxy;
    } catch (error) {
      await proxy.close();
      throw error;
    }
  }

  /** How many clients are connected. */
  get connections(): number {
    return this.#relays.size;
  }

  /** Ends all connections that there are, as if the process at each end had died; others may come. */
  async disconnect(): Promise<void> {
    await Promise.all([...this.#relays].map((relay) => relay.close()));
  }

  /** Ends all connections, and gives the name back. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** The same as {@linkcode FaultProxy.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    this.#stop.abort(new Error(`Cannot use the proxy "${this.name}": it is closed`));
    this.#broker.remove(this.#events);
    await this.disconnect();
    await Promise.all(this.#ending);
    await this.#listener?.close();
    if (this.#generation > 0) {
      const registration = { name: this.name, generation: this.#generation };
      const timeout = AbortSignal.timeout(UNREGISTER_TIMEOUT);
      await this.#broker.unregister(registration, timeout).catch(() => {}); // no broker: nothing is registered
    }
    if (this.#broker.claims.get(this.name) === this) this.#broker.claims.delete(this.name);
    await this.#broker.release();
  }

  /** The broker takes all of this realm for one, which may register a name again. */
  #claim(): void {
    const { claims } = this.#broker;
    if (claims.has(this.name)) throw new Error(`Cannot start the proxy "${this.name}": the name is taken`);
    claims.set(this.name, this);
  }

  async #register(policy: "reject" | "replace"): Promise<void> {
    using endpoint = this.#listener!.endpoint();
    const request = { name: this.name, endpoint, policy, after: this.#generation };
    try {
      const reply = await this.#broker.register(request, this.#stop.signal);
      this.#generation = reply.generation;
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      throw new Error(`Cannot start the proxy "${this.name}": ${error.message}`, { cause: error });
    }
  }

  /** Another broker: registers there too. */
  async #again(): Promise<void> {
    if (this.#closing !== undefined) return;
    try {
      await this.#register("replace");
    } catch (error) {
      if (!this.#stop.signal.aborted) reportError(error);
    }
  }

  #accept(client: Connection): ConnectionHandlers | undefined {
    if (this.#closing !== undefined) return undefined;
    const relay = new Relay(++this.#count, client, this.#plans);
    this.#relays.add(relay);
    this.#track(this.#connect(relay));
    return {
      message: (message) => relay.receive("client", message),
      closed: () => this.#end(relay),
    };
  }

  /** Connects on to the server, whichever is there by then. */
  async #connect(relay: Relay): Promise<void> {
    try {
      const found = await this.#broker.lookup(this.target, 0, this.#stop.signal);
      using endpoint = found.endpoint;
      const server = await Connection.toEndpoint(endpoint, {
        message: (message) => relay.receive("server", message),
        closed: () => this.#end(relay),
      });
      await relay.connected(server);
    } catch (error) {
      if (!this.#stop.signal.aborted) reportError(error);
      this.#end(relay);
    }
  }

  #end(relay: Relay): void {
    this.#relays.delete(relay);
    this.#track(relay.close());
  }

  #track(work: Promise<void>): void {
    this.#ending.add(work);
    void work.finally(() => this.#ending.delete(work));
  }
}

/** How long to wait for a broker that is not there, in milliseconds: without one nothing is registered. */
const UNREGISTER_TIMEOUT = 2000;
