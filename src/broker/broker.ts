/**
 * The embedded broker: `agent/PROTOCOL.md` in TypeScript. On Linux the first process that needs a broker runs this
 * one; on macOS a launch agent, written in Swift, implements the same protocol.
 *
 * @module
 */
import { type Connection, disposeValue, Int64, Listener, type XpcRecord } from "../xpc/mod.ts";
import type { ConnectionHandlers } from "../xpc/connection.ts";
import type { ConnectionError } from "../xpc/errors.ts";
import type { IncomingMessage } from "../xpc/incoming_message.ts";
import { load } from "../../ffi/load.ts";
import { Fields } from "./fields.ts";
import { type Peer, Peers } from "./peers.ts";
import { LIMITS, PROTOCOL_VERSION, Refusal, replyTo } from "./protocol.ts";
import { describeRegistration, type Registration, Registry } from "./registry.ts";
import { DEFAULT_SERVICE, RELEASE } from "./release.ts";

/** Options of {@linkcode Broker.start}. */
export interface BrokerOptions {
  /**
   * The name of the Mach service.
   *
   * @default {"io.jsr.xpc.shmem"}
   */
  service?: string | undefined;
  /** A code-signing requirement for all peers. macOS only. */
  requirement?: string | undefined;
}

const VERSION = BigInt(PROTOCOL_VERSION);

/** How long a broker that ends waits until its peers have read its last messages, in milliseconds. */
const FLUSH_TIMEOUT = 1000;

/** Performs an operation: returns the fields of the reply, or `undefined` if the reply comes later. */
type Operation = (peer: Peer, fields: Fields, message: IncomingMessage) => XpcRecord | undefined;

/**
 * A broker in this realm. If another process has the name, `closed` resolves and says so.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { Broker } from "@xpc/shmem/broker";
 *
 * await using broker = await Broker.start({ service: "com.example.broker" });
 * assert(broker.service === "com.example.broker");
 * ```
 */
export class Broker implements AsyncDisposable {
  /** The name of the Mach service. */
  readonly service: string;
  readonly #listener: Listener;
  readonly #registry: Registry<Peer>;
  readonly #peers = new Peers();
  readonly #since = performance.now();
  readonly #transaction: { begin(): void; end(): void };
  #holdsTransaction = false;
  #terminating: Promise<void> | undefined;

  private constructor(service: string, listener: Listener, transaction: { begin(): void; end(): void }) {
    this.service = service;
    this.#listener = listener;
    this.#transaction = transaction;
    this.#registry = new Registry<Peer>({
      registered: (registration) => {
        this.#holdTransaction();
        this.#announce("registered", registration);
      },
      unregistered: (registration) => {
        this.#holdTransaction();
        this.#announce("unregistered", registration);
      },
      replaced: (registration, by) => {
        send(registration.peer, {
          event: "replaced",
          name: registration.name,
          generation: BigInt(registration.generation),
          by: BigInt(by.generation),
          pid: new Int64(BigInt(by.pid)),
        });
      },
    });
    void listener.closed.then(() => {
      this.#registry.clear();
      this.#holdTransaction();
    });
  }

  /**
   * Starts a broker.
   *
   * @param options the name of its service, and a requirement for its peers
   * @returns the broker, which is about to listen
   * @throws {TypeError} if the name is not valid
   */
  static async start(options: BrokerOptions = {}): Promise<Broker> {
    const { service = DEFAULT_SERVICE, requirement } = options;
    const { xpc, shim } = await load();
    // deno-lint-ignore prefer-const -- the listener's handlers read it; the first one runs in a later task
    let broker: Broker | undefined;
    const listener = await Listener.service(service, (connection, peer) => {
      if (broker === undefined || peer.euid !== shim.shim_euid()) return undefined;
      return broker.#accept(connection, peer.pid);
    }, { requirement, terminating: () => void broker?.close() });
    broker = new Broker(service, listener, {
      begin: () => xpc.xpc_transaction_begin(),
      end: () => xpc.xpc_transaction_end(),
    });
    return broker;
  }

  /** Resolves with the reason when the broker no longer listens: it was closed, or it cannot have the name. */
  get closed(): Promise<ConnectionError> {
    return this.#listener.closed;
  }

  /** Whether {@linkcode close} was called, or the system asked the broker to end. */
  get terminating(): boolean {
    return this.#terminating !== undefined;
  }

  /** Tells all peers that the broker ends, answers waiting lookups, and closes the service. Idempotent. */
  close(): Promise<void> {
    this.#terminating ??= this.#terminate();
    return this.#terminating;
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #terminate(): Promise<void> {
    const flushed: Promise<void>[] = [];
    for (const peer of this.#peers) if (this.#peers.hasGreeted(peer)) send(peer, { event: "terminating" });
    this.#registry.answerAll(new Refusal("terminating").reply);
    for (const { connection } of this.#peers) {
      if (connection.open) flushed.push(connection.flush().catch(() => {})); // the peer has left
    }
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, FLUSH_TIMEOUT);
    await Promise.race([Promise.all(flushed), late]);
    clearTimeout(timer);
    this.#peers.close();
    await this.#listener.close();
  }

  /** While a service is registered, launchd must not stop this process: the registry is in memory only. */
  #holdTransaction(): void {
    const needed = this.#registry.size > 0;
    if (needed === this.#holdsTransaction) return;
    this.#holdsTransaction = needed;
    if (needed) this.#transaction.begin();
    else this.#transaction.end();
  }

  #accept(connection: Connection, pid: number): ConnectionHandlers | undefined {
    const peer = this.#peers.add(connection, pid);
    if (peer === undefined) return undefined;
    return {
      message: (message) => this.#receive(peer, message),
      closed: () => {
        this.#peers.remove(peer);
        this.#registry.leave(peer);
      },
    };
  }

  #receive(peer: Peer, message: IncomingMessage): void {
    if (!message.expectsReply) return message[Symbol.dispose]();
    let waits = false;
    try {
      const reply = this.#perform(peer, message);
      waits = reply === undefined;
      if (reply !== undefined) message.reply({ ok: true, ...reply });
    } catch (error) {
      message.reply(replyTo(error)); // whatever goes wrong must not end this process
    } finally {
      // No operation took what is left in the message. A lookup that waits still needs its way to reply.
      if (waits) disposeValue(message.values);
      else message[Symbol.dispose]();
    }
  }

  #perform(peer: Peer, message: IncomingMessage): XpcRecord | undefined {
    if (this.#terminating !== undefined) throw new Refusal("terminating");
    if (Object.keys(message.values).length > LIMITS.keys) throw new Refusal("limit");
    const fields = new Fields(message.values, (key) => new Refusal("bad_request", {}, key));
    const op = fields.text("op");
    if (op !== "hello" && !this.#peers.hasGreeted(peer)) throw new Refusal("hello_first");
    if (!Object.hasOwn(this.#operations, op)) throw new Refusal("unknown_op");
    return this.#operations[op]!(peer, fields, message);
  }

  readonly #operations: Readonly<Record<string, Operation>> = {
    hello: (peer, fields) => {
      const min = fields.integer("min");
      const max = fields.integer("max");
      if (min > max) throw new Refusal("bad_request", {}, "min");
      fields.optionalText("name");
      if (min > VERSION || max < VERSION) throw new Refusal("unsupported_version");
      this.#peers.greet(peer);
      return this.#identity();
    },

    register: (peer, fields, message) => {
      const name = fields.name("name");
      const endpoint = fields.endpoint("endpoint");
      const policy = fields.text("policy");
      if (!["reject", "replace", "join"].includes(policy)) throw new Refusal("bad_request", {}, "policy");
      const after = fields.count("after", 0);
      const holder = this.#registry.get(name);
      if (holder !== undefined && holder.peer !== peer && policy !== "replace") {
        if (policy === "join") return { registered: false, ...describeRegistration(holder) };
        const { generation, pid } = describeRegistration(holder);
        throw new Refusal("name_taken", { generation, pid });
      }
      const { registration, answered } = this.#registry.register(peer, name, endpoint, peer.pid, after);
      message.take("endpoint");
      const { generation, pid } = describeRegistration(registration);
      return { registered: true, generation, pid, waiting: answered > 0 ? BigInt(answered) : undefined };
    },

    lookup: (peer, fields, message) => {
      const name = fields.name("name");
      const after = fields.count("after", 0);
      const wait = fields.flag("wait", false);
      const id = fields.integer("id", 0n);
      const holder = this.#registry.get(name);
      if (holder !== undefined && holder.generation > after) return describeRegistration(holder);
      if (!wait) throw new Refusal("not_found");
      this.#registry.wait({ name, peer, id, after, answer: (reply) => message.reply(reply) });
      return undefined;
    },

    cancel: (peer, fields) => {
      const id = fields.integer("id");
      const lookup = this.#registry.cancel(peer, id);
      lookup?.answer(new Refusal("cancelled").reply);
      return { cancelled: lookup !== undefined };
    },

    unregister: (peer, fields) => {
      const name = fields.name("name");
      const generation = fields.count("generation");
      const holder = this.#registry.get(name);
      if (holder === undefined) throw new Refusal("not_registered");
      if (holder.peer !== peer || holder.generation !== generation) throw new Refusal("not_owner");
      this.#registry.unregister(holder);
      return {};
    },

    list: () => ({ services: this.#registry.list() }),

    watch: (peer) => {
      const services = this.#registry.list();
      peer.watching = true;
      return { services };
    },

    unwatch: (peer) => {
      peer.watching = false;
      return {};
    },

    status: () => ({
      ...this.#identity(),
      uptime: BigInt(Math.floor(performance.now() - this.#since)),
      peers: BigInt(this.#peers.size),
      services: BigInt(this.#registry.size),
      waiting: BigInt(this.#registry.waiting),
      watchers: BigInt([...this.#peers].filter(({ watching }) => watching).length),
    }),
  };

  #identity(): XpcRecord {
    return {
      version: VERSION,
      broker: "embedded",
      release: RELEASE,
      pid: new Int64(BigInt(Deno.pid)),
      service: this.service,
    };
  }

  #announce(event: string, { name, generation, pid }: Registration<Peer>): void {
    const record = { event, name, generation: BigInt(generation), pid: new Int64(BigInt(pid)) };
    for (const peer of this.#peers) if (peer.watching) send(peer, record);
  }
}

/** Sends an event to a peer, unless its connection is over. */
function send(peer: Peer, record: XpcRecord): void {
  if (peer.connection.open) peer.connection.send(record);
}
