/**
 * The embedded broker: `PROTOCOL.md` in TypeScript. On Linux the first process that needs a broker runs it; the
 * launch agent on macOS is the same protocol in Swift.
 *
 * @module
 */
import { type Connection, disposeValue, Int64, Listener, type XpcRecord, type XpcValue } from "../xpc/mod.ts";
import { Endpoint } from "../xpc/endpoint.ts";
import type { ConnectionHandlers } from "../xpc/connection.ts";
import type { ConnectionError } from "../xpc/errors.ts";
import type { IncomingMessage } from "../xpc/incoming_message.ts";
import { load } from "../../ffi/load.ts";
import { found, type Registration, Registry } from "./registry.ts";
import { Fields, LIMITS, PROTOCOL_VERSION, Refusal } from "./protocol.ts";
import { DEFAULT_SERVICE, RELEASE } from "./release.ts";

/** Options of {@linkcode Broker.start}. */
export interface BrokerOptions {
  /**
   * The name of the Mach service.
   *
   * @default {"io.jsr.xpc.shmem"}
   */
  service?: string | undefined;
  /** A code-signing requirement for all who ask. macOS only. */
  requirement?: string | undefined;
}

const VERSION = BigInt(PROTOCOL_VERSION);

/** How long a broker that ends waits for peers that do not read what it sent. */
const FLUSH_MILLISECONDS = 1000;

/** An app that is connected. */
interface Peer {
  readonly connection: Connection;
  readonly pid: number;
  helloed: boolean;
  watching: boolean;
}

type Operation = (peer: Peer, fields: Fields, message: IncomingMessage) => XpcRecord | undefined;

/**
 * A broker in this process. Where another process has the name already, it ends with `closed`.
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
  readonly #peers = new Set<Peer>();
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
   * Starts to listen.
   *
   * @param options the name, and who may ask
   * @returns the broker
   * @throws {TypeError} if the name is not valid
   */
  static async start(options: BrokerOptions = {}): Promise<Broker> {
    const { service = DEFAULT_SERVICE, requirement } = options;
    const { xpc, shim } = await load();
    // Who connects before this returned waits for the next task: nothing runs in between.
    // deno-lint-ignore prefer-const -- the listener's handler reads it, perhaps before it is there
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

  /** Resolves when it listens no longer: another process has the name, or it was closed. */
  get closed(): Promise<ConnectionError> {
    return this.#listener.closed;
  }

  /** Whether it is about to end, or has ended, because it was told to. */
  get terminating(): boolean {
    return this.#terminating !== undefined;
  }

  /** Tells all peers, answers what waits, and ends. Idempotent. */
  close(): Promise<void> {
    this.#terminating ??= this.#terminate();
    return this.#terminating;
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #terminate(): Promise<void> {
    const left: Promise<void>[] = [];
    for (const peer of this.#peers) if (peer.helloed) send(peer, { event: "terminating" });
    this.#registry.answerAll(new Refusal("terminating").reply);
    for (const { connection } of this.#peers) {
      if (connection.open) left.push(connection.flush().catch(() => {})); // gone: nothing left to wait for
    }
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => timer = setTimeout(resolve, FLUSH_MILLISECONDS));
    await Promise.race([Promise.all(left), late]);
    clearTimeout(timer);
    await this.#listener.close();
  }

  /** While a service is registered launchd must not stop us: the registry is in memory only. */
  #holdTransaction(): void {
    const needed = this.#registry.size > 0;
    if (needed === this.#holdsTransaction) return;
    this.#holdsTransaction = needed;
    if (needed) this.#transaction.begin();
    else this.#transaction.end();
  }

  #accept(connection: Connection, pid: number): ConnectionHandlers | undefined {
    if (this.#peers.size >= LIMITS.peers) return undefined;
    const peer: Peer = { connection, pid, helloed: false, watching: false };
    this.#peers.add(peer);
    return {
      message: (message) => this.#receive(peer, message),
      closed: () => {
        this.#peers.delete(peer);
        peer.watching = false;
        this.#registry.leave(peer);
      },
    };
  }

  #receive(peer: Peer, message: IncomingMessage): void {
    if (!message.expectsReply) return message[Symbol.dispose]();
    let waits = false;
    try {
      if (this.#terminating !== undefined) throw new Refusal("terminating");
      if (Object.keys(message.values).length > LIMITS.keys) throw new Refusal("limit");
      const fields = new Fields(message.values);
      const op = fields.text("op");
      if (!peer.helloed && op !== "hello") throw new Refusal("hello_first");
      if (!Object.hasOwn(this.#operations, op)) throw new Refusal("unknown_op");
      const reply = this.#operations[op]!(peer, fields, message);
      waits = reply === undefined;
      if (reply !== undefined) message.reply({ ok: true, ...reply });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      message.reply(error.reply);
    } finally {
      // What was not taken out of it is nobody's; the reply may still be owed.
      if (waits) disposeValue(message.values);
      else message[Symbol.dispose]();
    }
  }

  readonly #operations: Readonly<Record<string, Operation>> = {
    hello: (peer, fields) => {
      const min = fields.integer("min");
      const max = fields.integer("max");
      if (min > max) throw new Refusal("bad_request", {}, "min");
      fields.optionalText("name");
      if (min > VERSION || max < VERSION) throw new Refusal("unsupported_version");
      peer.helloed = true;
      return this.#identity();
    },

    register: (peer, fields, message) => {
      const name = fields.name("name");
      const endpoint = message.values["endpoint"];
      if (!(endpoint instanceof Endpoint)) throw new Refusal("bad_request", {}, "endpoint");
      const policy = fields.text("policy");
      if (!["reject", "replace", "join"].includes(policy)) throw new Refusal("bad_request", {}, "policy");
      const after = fields.generation("after", 0);
      const holder = this.#registry.get(name);
      if (holder !== undefined && holder.peer !== peer && policy !== "replace") {
        if (policy === "join") return { registered: false, ...found(holder) };
        const { generation, pid } = found(holder);
        throw new Refusal("name_taken", { generation, pid });
      }
      const registration = this.#registry.register(peer, name, endpoint, peer.pid, after);
      message.take("endpoint");
      const { generation, pid } = found(registration);
      return { registered: true, generation, pid };
    },

    lookup: (peer, fields, message) => {
      const name = fields.name("name");
      const after = fields.generation("after", 0);
      const wait = fields.flag("wait", false);
      const id = fields.integer("id", 0n);
      const holder = this.#registry.get(name);
      if (holder !== undefined && holder.generation > after) return found(holder);
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
      const generation = fields.generation("generation");
      const holder = this.#registry.get(name);
      if (holder === undefined) throw new Refusal("not_registered");
      if (holder.peer !== peer || holder.generation !== generation) throw new Refusal("not_owner");
      this.#registry.unregister(holder);
      return {};
    },

    list: () => ({ services: this.#list() }),

    watch: (peer) => {
      peer.watching = true;
      return { services: this.#list() };
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

  #list(): XpcValue[] {
    return this.#registry.list().map(({ name, generation, pid, since }) => {
      return { name, generation: BigInt(generation), pid: new Int64(BigInt(pid)), since };
    });
  }

  #announce(event: string, { name, generation, pid }: Registration<Peer>): void {
    const record = { event, name, generation: BigInt(generation), pid: new Int64(BigInt(pid)) };
    for (const peer of this.#peers) if (peer.watching) send(peer, record);
  }
}

/** Sends where that is possible still; who is gone needs no event. */
function send(peer: Peer, record: XpcRecord): void {
  if (peer.connection.open) peer.connection.send(record);
}
