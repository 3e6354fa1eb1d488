import type { ShimAudience } from "../../ffi/types.ts";
import { Mapping } from "../memory/mapping.ts";
import {
  generationAt,
  LOCK_BYTES,
  MAXIMUM_REGIONS,
  MUTEX_OWNER,
  mutexAt,
  SERVER_BYTES,
  SERVER_OWNER,
  serverMutexAt,
  serverParkedAt,
  serverRevisionAt,
  sharedRevisionAt,
  STRIDE,
} from "./layout.ts";
import { Mutex } from "../sync/mutex.ts";
import { ParkedWord } from "../sync/parked_word.ts";
import { type Bell, Revisions } from "../sync/revisions.ts";
import { EventQueue } from "../xpc/event_queue.ts";
import type { ConnectionHandlers } from "../xpc/connection.ts";
import type { Endpoint } from "../xpc/endpoint.ts";
import type { IncomingMessage } from "../xpc/incoming_message.ts";
import {
  type Connection,
  disposeValue,
  FileDescriptor,
  Listener,
  type PeerCredentials,
  type XpcRecord,
} from "../xpc/mod.ts";
import { checkHello, LinkRefusal } from "./protocol.ts";
import { ServerLink } from "./server_link.ts";
import { checkRegionName, makeMapping, type RegionOptions, type ServedRegion } from "./served_region.ts";
import { WritableRegion } from "../exchange/region.ts";

/** What a server decides about those who connect. */
export interface HostOptions {
  readonly schema: Uint8Array | null;
  readonly requirement: string | undefined;
}

type Operation = (peer: Peer, message: IncomingMessage) => XpcRecord;

interface Peer {
  readonly connection: Connection;
  link: ServerLink | undefined;
}

/**
 * The regions of a service and the clients that share them: all of a server but its name. It lives in the process
 * that writes.
 */
export class Host implements Bell {
  readonly #queue: EventQueue;
  readonly #options: HostOptions;
  readonly #words: Mapping;
  readonly #locks: Mapping;
  readonly #audience: ShimAudience;
  readonly #regions = new Map<string, ServedRegion>();
  readonly #links = new Map<Connection, ServerLink>();
  readonly #listeners = new Set<() => void>();
  /** By region's number: our parked word, and the newest revision that was relayed. */
  readonly #parked: ParkedWord[] = [];
  readonly #relayed: number[] = [];
  #listener: Listener | undefined;
  #lastOwner = SERVER_OWNER;
  #relaying = false;
  #wantsBells = false;
  readonly #ending = new Set<Promise<void>>();

  /** Makes the words and the listener. Takes nothing over when it fails. */
  static async create(options: HostOptions): Promise<Host> {
    await using undo = new AsyncDisposableStack();
    const queue = await EventQueue.acquire();
    undo.defer(() => queue.release());
    const words = undo.use(await Mapping.create(SERVER_BYTES, { readOnlyForOthers: true }));
    const locks = undo.use(await Mapping.create(LOCK_BYTES));
    const audience = queue.library.shim.shim_audience_create();
    if (audience === null) throw new Error("Cannot serve: no memory is left");
    undo.defer(() => queue.library.shim.shim_audience_free(audience));
    const host = new Host(queue, options, words, locks, audience);
    host.#listener = await Listener.anonymous((connection, peer) => host.#accept(connection, peer), {
      requirement: options.requirement,
    });
    undo.move();
    return host;
  }

  private constructor(
    queue: EventQueue,
    options: HostOptions,
    words: Mapping,
    locks: Mapping,
    audience: ShimAudience,
  ) {
    this.#queue = queue;
    this.#options = options;
    this.#words = words;
    this.#locks = locks;
    this.#audience = audience;
  }

  /** The way in for clients; the caller disposes it. */
  endpoint(): Endpoint {
    return this.#listener!.endpoint();
  }

  /** How many clients are connected. */
  get clients(): number {
    return this.#links.size;
  }

  /** The regions, by name. */
  get regions(): ReadonlyMap<string, ServedRegion> {
    return this.#regions;
  }

  /** Adds a region, or puts a new generation in the place of one. */
  async put(name: string, options: RegionOptions): Promise<WritableRegion> {
    checkRegionName(name);
    const before = this.#regions.get(name);
    const index = before?.index ?? this.#regions.size;
    if (index >= MAXIMUM_REGIONS) {
      throw new RangeError(`Cannot add the region "${name}": a service has at most ${MAXIMUM_REGIONS}`);
    }
    const clients = options.clients ?? before?.clients ?? "write";
    if (before !== undefined && before.clients !== clients) {
      throw new TypeError(
        `Cannot replace the region "${name}": clients may "${before.clients}" it, which is for good`,
      );
    }
    const mapping = await makeMapping(name, { ...options, clients });
    const generation = (before?.region.generation ?? 0) + 1;
    const region = this.#make(name, index, clients, mapping, generation);
    this.#regions.set(name, { name, index, clients, mapping, region });
    // The generation first, then the revision, which wakes those who look at the generation.
    this.#words.view(BigUint64Array, generationAt(index), 1)[0] = BigInt(generation);
    if (before !== undefined) {
      region.commit();
      await before.region.close();
    }
    return region;
  }

  #make(
    name: string,
    index: number,
    clients: "read" | "write",
    mapping: Mapping,
    generation: number,
  ): WritableRegion {
    const queue = this.#queue;
    const { library } = queue;
    this.#parked[index] ??= new ParkedWord(library, this.#words.word(serverParkedAt(index)));
    if (this.#relaying && this.#relayed[index] === undefined) this.#parked[index].enter();
    this.#relayed[index] ??= 0;
    const revisions = new Revisions({
      queue,
      name,
      index,
      revision: clients === "write"
        ? this.#locks.word(sharedRevisionAt(index))
        : this.#words.word(serverRevisionAt(index)),
      generation: this.#words.word(generationAt(index)),
      parked: this.#parked[index],
      gone: null,
      audience: this.#audience,
      bell: this,
    }, generation);
    const word = clients === "write"
      ? this.#locks.word(mutexAt(index))
      : this.#words.word(serverMutexAt(index));
    const place = { queue, word, owner: SERVER_OWNER };
    return new WritableRegion({
      name,
      generation,
      clients,
      mapping,
      mutex: new Mutex(place, name),
      revisions,
      onClose: () => {},
      onCommit: () => {},
    });
  }

  #accept(connection: Connection, credentials: PeerCredentials): ConnectionHandlers | undefined {
    if (credentials.euid !== this.#queue.library.shim.shim_euid()) return undefined;
    const peer: Peer = { connection, link: undefined };
    return {
      message: (message) => this.#receive(peer, message),
      closed: () => {
        this.#links.delete(connection);
        if (peer.link !== undefined) this.#end(peer.link);
        this.#ring(); // what it committed last may have gone with it unannounced: while we still relay
        this.#watchClients();
      },
    };
  }

  #end(link: ServerLink): void {
    const ending = link.end();
    this.#ending.add(ending);
    void ending.finally(() => this.#ending.delete(ending));
  }

  #receive(peer: Peer, message: IncomingMessage): void {
    using _ = message;
    const { op } = message.values;
    if (op === "committed") return this.#ring();
    if (!message.expectsReply) return;
    try {
      const operation = typeof op === "string" && Object.hasOwn(this.#operations, op)
        ? this.#operations[op]
        : undefined;
      if (operation === undefined) throw new LinkRefusal("bad_request", "Cannot find this operation");
      const reply = operation(peer, message);
      try {
        message.reply({ ok: true, ...reply });
      } finally {
        // The message has captured what was made to be shared.
        for (const value of Object.values(reply)) disposeValue(value);
      }
    } catch (error) {
      // Whatever goes wrong over a request is its sender's to know; it must not end this process.
      const refusal = error instanceof LinkRefusal
        ? error
        : new LinkRefusal("failed", (error as Error).message);
      message.reply(refusal.reply);
    }
  }

  readonly #operations: Readonly<Record<string, Operation>> = {
    hello: (peer, { values }) => {
      const { version, words } = checkHello(values, this.#options.schema, peer.link !== undefined);
      const owner = this.#lastOwner + 1;
      if (owner > MUTEX_OWNER) {
        throw new LinkRefusal("failed", "Cannot take another client: no owner is left");
      }
      peer.link = new ServerLink(this.#queue.library, peer.connection, words, this.#audience, owner);
      this.#lastOwner = owner;
      this.#links.set(peer.connection, peer.link);
      peer.connection.guard(this.#locks.word(0), STRIDE, MAXIMUM_REGIONS, owner, null);
      this.#watchClients();
      return {
        version,
        owner: BigInt(owner),
        server: this.#words.share(),
        locks: this.#locks.share(),
        features: [],
      };
    },

    open: (peer, { values: { name } }) => {
      if (peer.link === undefined) throw new LinkRefusal("hello_first", "Cannot open a region before hello");
      if (typeof name !== "string") {
        throw new LinkRefusal("bad_request", "Cannot open a region: it has no name");
      }
      const served = this.#regions.get(name);
      if (served === undefined) {
        const known = [...this.#regions.keys()].map((known) => `"${known}"`).join(", ");
        throw new LinkRefusal("not_found", `Cannot open the region "${name}": the server has ${known}`);
      }
      return {
        index: BigInt(served.index),
        generation: BigInt(served.region.generation),
        byteLength: BigInt(served.region.byteLength),
        memory: served.mapping.share(),
      };
    },

    bell: (peer, { values: { bell } }) => {
      if (peer.link === undefined) {
        throw new LinkRefusal("hello_first", "Cannot take a doorbell before hello");
      }
      if (!(bell instanceof FileDescriptor)) {
        throw new LinkRefusal("bad_request", "Cannot take a doorbell: it is none");
      }
      peer.link.takeBell(bell);
      return {};
    },

    describe: () => ({
      regions: [...this.#regions.values()].map(({ name, clients, region }) => ({
        name,
        clients,
        byteLength: BigInt(region.byteLength),
        generation: BigInt(region.generation),
        revision: BigInt(region.revision),
      })),
    }),
  };

  /** With more than one client, what one commits must reach the others: only we can ring their bells. */
  #watchClients(): void {
    const relaying = this.#links.size > 1;
    if (relaying !== this.#relaying) {
      this.#relaying = relaying;
      for (const parked of this.#parked) {
        if (relaying) parked.enter();
        else parked.leave();
      }
    }
    if (relaying || this.#wantsBells) this.#giveBells();
  }

  #giveBells(): void {
    for (const link of this.#links.values()) link.giveBell(() => this.#ring());
  }

  /** Something was committed by a client. */
  #ring(): void {
    if (this.#relaying) {
      const { shim } = this.#queue.library;
      for (const { index, clients } of this.#regions.values()) {
        if (clients === "read") continue;
        const word = this.#locks.word(sharedRevisionAt(index));
        const revision = shim.shim_word_load64(word);
        if (revision === this.#relayed[index]) continue;
        this.#relayed[index] = revision;
        shim.shim_revision_wake(this.#audience, word, index);
      }
    }
    for (const listener of this.#listeners) listener();
  }

  /** Clients can always wake us: by the bells that we give them, or by messages. */
  ready(): boolean {
    if (!this.#wantsBells) {
      this.#wantsBells = true;
      this.#giveBells();
    }
    return true;
  }

  add(listener: () => void): void {
    this.#listeners.add(listener);
  }

  remove(listener: () => void): void {
    this.#listeners.delete(listener);
  }

  /** Ends the waits, the connections, and then the memory under them. */
  async close(): Promise<void> {
    await Promise.all([...this.#regions.values()].map(({ region }) => region.close()));
    await this.#listener?.close();
    await Promise.all(this.#ending);
    this.#queue.library.shim.shim_audience_free(this.#audience);
    this.#locks.close();
    this.#words.close();
    await this.#queue.release();
  }
}
