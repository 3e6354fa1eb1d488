import type { ShimAudience, ShimLocks } from "../../ffi/types.ts";
import { Adoption, type Expectation } from "./adoption.ts";
import { type Heirloom, type Inheritance, readEstate } from "./estate.ts";
import { ADOPT, BELLS, commonFeatures, REGIONS } from "./features.ts";
import { RegionNotes } from "./region_notes.ts";
import { Mapping } from "../memory/mapping.ts";
import { type Bell, BellListeners } from "../sync/bell_listeners.ts";
import { ParkedWord } from "../sync/parked_word.ts";
import { Turns } from "../sync/turns.ts";
import type { ConnectionHandlers } from "../xpc/connection.ts";
import type { Endpoint } from "../xpc/endpoint.ts";
import { EventQueue } from "../xpc/event_queue.ts";
import type { IncomingMessage } from "../xpc/incoming_message.ts";
import {
  type Connection,
  disposeValue,
  FileDescriptor,
  Listener,
  type PeerCredentials,
  type XpcRecord,
} from "../xpc/mod.ts";
import {
  ALL_TURNS_AT,
  LOCK_BYTES,
  MUTEX_OWNER,
  SERVER_BYTES,
  SERVER_OWNER,
  serverParkedAt,
} from "./layout.ts";
import type { LinkEnd } from "./link_end.ts";
import type { LinkedRegion } from "./linked_region.ts";
import { ChannelTable } from "./channel_table.ts";
import { IndexTable } from "./index_table.ts";
import { MessagesPart, type ServerMessages } from "./messages_part.ts";
import type { LinkedLock } from "./linked_lock.ts";
import type { LockSpec } from "./lock_spec.ts";
import { LockTable } from "./lock_table.ts";
import type { HostPart, Operation } from "./operations.ts";
import { checkHello, LinkRefusal } from "./protocol.ts";
import { RegionTable } from "./region_table.ts";
import { Relay } from "./relay.ts";
import type { RegionOptions } from "./served_region.ts";
import { ServerLink } from "./server_link.ts";
import { Sharing } from "./sharing.ts";
import { StreamTable } from "./stream_table.ts";

/** What a server requires of the clients that connect. */
export interface HostOptions {
  /** The hash of the schema, or `null`. */
  readonly schema: Uint8Array | null;
  /** A code-signing requirement for clients. */
  readonly requirement: string | undefined;
  /** What to do with the messages of clients. */
  readonly messages: ServerMessages;
  /**
   * Whether to take over memory from clients. Nothing can be opened then before {@linkcode Host.adopt} or
   * {@linkcode Host.ready}.
   */
  readonly adopt?: boolean;
}

/** A process that is connected; it becomes a client by its hello. */
interface Peer {
  readonly connection: Connection;
  link: ServerLink | undefined;
  isGone: boolean;
  /** How many requests wait for the regions to be there. */
  waiting: number;
}

/** How many requests of one client may wait until the regions are there: more than it can open. */
const MAXIMUM_WAITING = 1024;

/** The memory that all clients of a server share. */
interface SharedWords {
  readonly server: Mapping;
  readonly locks: Mapping;
  readonly audience: ShimAudience;
  readonly ownedLocks: ShimLocks;
}

/**
 * The server's end of all its links: the regions and the clients that share them. It is all of a server but its name,
 * and lives in the process that writes.
 */
export class Host implements LinkEnd {
  readonly queue: EventQueue;
  readonly server: Mapping;
  readonly locks: Mapping;
  readonly owner = SERVER_OWNER;
  readonly audience: ShimAudience;
  readonly bell: Bell;
  readonly turns: Turns;
  readonly sharing: Sharing;
  readonly ownedLocks: ShimLocks;
  readonly gone = null;
  readonly #options: HostOptions;
  readonly #indexes = new IndexTable();
  /** The streams. */
  readonly streams: StreamTable;
  /** The channels. */
  readonly channels: ChannelTable;
  readonly #table: RegionTable;
  readonly #messages: MessagesPart;
  readonly #locks: LockTable;
  readonly #parts: readonly HostPart[];
  /** Those of all parts, by `op`. */
  readonly #allOperations: ReadonlyMap<string, Operation>;
  readonly #relay: Relay;
  readonly #notes = new RegionNotes();
  readonly #features: readonly string[];
  readonly #adoption: Adoption;
  readonly #links = new Map<Connection, ServerLink>();
  readonly #listeners = new BellListeners();
  readonly #parked = new Map<number, ParkedWord>();
  /** The ends of links under way: the words stay mapped until then. */
  readonly #ending = new Set<Promise<void>>();
  #listener: Listener | undefined;
  #lastOwner = SERVER_OWNER;
  /** Whether each client has to have a doorbell to ring us by. */
  #givesBells = false;

  /** Makes the words and the listener. */
  static async create(options: HostOptions): Promise<Host> {
    await using undo = new AsyncDisposableStack();
    const queue = await EventQueue.acquire();
    undo.defer(() => queue.release());
    const server = undo.use(await Mapping.create(SERVER_BYTES, { readOnlyForOthers: true }));
    const locks = undo.use(await Mapping.create(LOCK_BYTES));
    const { shim } = queue.library;
    const audience = shim.shim_audience_create();
    if (audience === null) throw new Error("Cannot serve: no memory is left");
    undo.defer(() => shim.shim_audience_free(audience));
    const ownedLocks = shim.shim_locks_create();
    if (ownedLocks === null) throw new Error("Cannot serve: no memory is left");
    undo.defer(() => shim.shim_locks_free(ownedLocks));
    const host = new Host(queue, options, { server, locks, audience, ownedLocks });
    host.#listener = await Listener.anonymous((connection, peer) => host.#accept(connection, peer), {
      requirement: options.requirement,
    });
    undo.move();
    return host;
  }

  private constructor(queue: EventQueue, options: HostOptions, shared: SharedWords) {
    this.queue = queue;
    this.server = shared.server;
    this.locks = shared.locks;
    this.audience = shared.audience;
    this.ownedLocks = shared.ownedLocks;
    this.turns = new Turns(queue, shared.locks.word(ALL_TURNS_AT, 8));
    this.bell = {
      ready: () => {
        this.#giveBells();
        return true; // a client without our doorbell wakes us by a message
      },
      add: (listener) => this.#listeners.add(listener),
      remove: (listener) => this.#listeners.remove(listener),
    };
    this.sharing = new Sharing(this, {
      words: undefined,
      parked: shared.server.word(serverParkedAt(0)),
      mortal: undefined,
      canRing: () => true,
      ring: () => this.#listeners.ring(),
    });
    this.#options = options;
    this.#table = new RegionTable(this, this.#indexes);
    this.streams = new StreamTable(this, this.#indexes);
    this.channels = new ChannelTable(this, this.#indexes);
    this.#locks = new LockTable(this, this.#indexes);
    this.#messages = new MessagesPart(options.messages);
    this.#parts = [this.#table, this.streams, this.channels, this.#locks, this.#messages];
    this.#relay = new Relay(this);
    this.#features = options.adopt === true ? [ADOPT, REGIONS] : [REGIONS];
    this.#adoption = new Adoption((heirloom) => this.inherit(heirloom));
    if (options.adopt !== true) this.#adoption.end();
    const operations = [
      this.#operations,
      this.#adoption.operations,
      ...this.#parts.map((part) => part.operations),
    ];
    this.#allOperations = new Map(operations.flatMap((each) => Object.entries(each)));
  }

  /** The way in for clients; the caller disposes it. */
  endpoint(): Endpoint {
    return this.#listener!.endpoint();
  }

  /** The number of connected clients. */
  get clients(): number {
    return this.#links.size;
  }

  /** The regions, by name. */
  get regions(): ReadonlyMap<string, LinkedRegion> {
    return this.#table.regions;
  }

  /** A region: see {@linkcode RegionTable.get}. */
  region(name: string): LinkedRegion {
    return this.#table.get(name);
  }

  /** Adds a region: see {@linkcode RegionTable.add}. */
  async add(name: string, options: RegionOptions): Promise<LinkedRegion> {
    const region = await this.#table.add(name, options);
    this.#relay.include(region);
    this.#notes.send();
    return region;
  }

  /** Replaces a region: see {@linkcode RegionTable.replace}. */
  async replace(name: string, options: RegionOptions): Promise<LinkedRegion> {
    const region = await this.#table.replace(name, options);
    this.#notes.send();
    return region;
  }

  /** Maps a region once more: see {@linkcode RegionTable.open}. */
  open(name: string, prefault: boolean): LinkedRegion {
    return this.#table.open(name, prefault);
  }

  /** Puts memory of a server that is gone in the place of a region: see {@linkcode RegionTable.inherit}. */
  inherit(heirloom: Heirloom): void {
    this.#relay.include(this.#table.inherit(heirloom));
  }

  /** Takes over what clients have of the regions, then lets them be opened: see {@linkcode Adoption.run}. */
  async adopt(expectation: Expectation): Promise<ReadonlyMap<string, Inheritance>> {
    const wanted = [...this.regions.values()].map(({ name, clients, tileBytes, mapping: { byteLength } }) => {
      return { name, clients, tileBytes, byteLength };
    });
    return await this.#adoption.run(wanted, expectation);
  }

  /** Lets the regions be opened. */
  ready(): void {
    this.#adoption.end();
  }

  /** Removes a region: see {@linkcode RegionTable.remove}. */
  async remove(name: string): Promise<void> {
    const { index } = await this.#table.remove(name);
    this.#relay.exclude(index);
  }

  /** The names of the locks. */
  get lockNames(): string[] {
    return this.#locks.names;
  }

  /** A lock: see {@linkcode LockTable.get}. */
  lock(name: string): LinkedLock {
    return this.#locks.get(name);
  }

  /** Adds a lock: see {@linkcode LockTable.add}. */
  async addLock(name: string, spec: LockSpec): Promise<LinkedLock> {
    return await this.#locks.add(name, spec);
  }

  parkedWord(index: number): ParkedWord {
    let word = this.#parked.get(index);
    if (word === undefined) {
      word = new ParkedWord(this.queue.library, this.server.word(serverParkedAt(index)));
      this.#parked.set(index, word);
    }
    return word;
  }

  /** The audience has been woken by the commit itself. */
  committed(): void {}

  /** Ends the waits, the connections, and then the memory under them. */
  async close(): Promise<void> {
    this.#adoption.end();
    await Promise.all(this.#parts.map((part) => part.close()));
    await this.#listener?.close();
    await Promise.all(this.#ending);
    await this.turns.close();
    this.queue.library.shim.shim_locks_free(this.ownedLocks);
    this.queue.library.shim.shim_audience_free(this.audience);
    this.locks.close();
    this.server.close();
    await this.queue.release();
  }

  #accept(connection: Connection, credentials: PeerCredentials): ConnectionHandlers | undefined {
    if (credentials.euid !== this.queue.library.shim.shim_euid()) return undefined;
    const peer: Peer = { connection, link: undefined, isGone: false, waiting: 0 };
    return {
      message: (message) => this.#receive(peer, message),
      closed: () => this.#forget(peer),
    };
  }

  #forget(peer: Peer): void {
    const { connection, link } = peer;
    peer.isGone = true;
    this.#links.delete(connection);
    this.#notes.remove(connection);
    if (link !== undefined) {
      this.#adoption.forget(link);
      for (const part of this.#parts) part.forget(link);
      const ending = link.end();
      this.#ending.add(ending);
      void ending.finally(() => this.#ending.delete(ending));
    }
    // What the client committed last may have gone with it unannounced. The relay must still be active for it.
    this.#wake();
    this.#watchClients();
  }

  #receive(peer: Peer, message: IncomingMessage): void {
    if (this.#messages.receive(peer.link, message)) return;
    if (message.expectsReply) return this.#answer(peer, message);
    using _ = message;
    if (message.values["op"] === "committed" && peer.link !== undefined) this.#wake();
  }

  /** Answers a request. Whatever goes wrong over it is told to its sender; it must not end this process. */
  #answer(peer: Peer, message: IncomingMessage): void {
    let reply: XpcRecord | Promise<XpcRecord>;
    try {
      reply = this.#perform(peer, message);
    } catch (error) {
      return refuse(message, error);
    }
    if (!(reply instanceof Promise)) return accept(message, reply);
    void reply.then((reply) => accept(message, reply), (error) => refuse(message, error));
  }

  #perform(peer: Peer, message: IncomingMessage): XpcRecord | Promise<XpcRecord> {
    const { op } = message.values;
    if (op === "hello") return this.#hello(peer, message);
    if (!this.#adoption.isOver && op !== "give") return this.#performLater(peer, message);
    if (op === "describe") this.#notes.described(peer.connection);
    if (op === "describe") return Object.assign({}, ...this.#parts.map((part) => part.describe()));
    const operation = typeof op === "string" ? this.#allOperations.get(op) : undefined;
    if (operation === undefined) throw new LinkRefusal("bad_request", "Cannot find this operation");
    if (peer.link === undefined) throw new LinkRefusal("hello_first", `Cannot answer "${op}" before hello`);
    return operation(peer.link, message);
  }

  /** Performs a request when the regions are there. */
  async #performLater(peer: Peer, message: IncomingMessage): Promise<XpcRecord> {
    if (peer.waiting >= MAXIMUM_WAITING) {
      throw new LinkRefusal("failed", "Cannot answer: too many requests wait until the server is ready");
    }
    peer.waiting++;
    await this.#adoption.over;
    peer.waiting--;
    if (peer.isGone) throw new LinkRefusal("failed", "Cannot answer: the connection is over");
    return await this.#perform(peer, message);
  }

  async #hello(peer: Peer, { values }: IncomingMessage): Promise<XpcRecord> {
    const hello = checkHello(values, this.#options.schema, peer.link !== undefined);
    const { version, words, label, bell, bells } = hello;
    const estate = readEstate(values["estate"]);
    const features = commonFeatures(values["features"], this.#features);
    const owner = this.#lastOwner + 1;
    if (owner > MUTEX_OWNER) {
      throw new LinkRefusal("failed", "Cannot take another client: no owner is left");
    }
    using undo = new DisposableStack();
    const share = <V extends Disposable>(value: V): V => undo.use(value);
    const reply = {
      version,
      owner: BigInt(owner),
      server: share(this.server.share()),
      locks: share(this.locks.share()),
    };
    const link = new ServerLink(this, peer.connection, words, owner, label);
    peer.link = link;
    this.#lastOwner = owner;
    this.#links.set(peer.connection, link);
    const hasBell = bells && (bell === undefined || link.tryTakeBell(bell));
    const ownBell = hasBell ? link.makeBell(() => this.#wake()) : undefined;
    this.#watchClients();
    this.#messages.welcome(link);
    if (features.has(REGIONS)) this.#notes.add(peer.connection);
    const wanted = this.#adoption.greet(link, features.has(ADOPT) ? estate : undefined);
    const given = await ownBell;
    const adopt = await wanted;
    undo.move(); // the reply owns them
    return {
      ...reply,
      features: hasBell ? [BELLS, ...features] : [...features],
      ...(given === undefined ? {} : { bell: given }),
      ...(adopt === undefined ? {} : { adopt }),
    };
  }

  readonly #operations: Readonly<Record<string, Operation>> = {
    bell: (link, { values: { bell } }) => {
      if (!(bell instanceof FileDescriptor)) {
        throw new LinkRefusal("bad_request", "Cannot take the doorbell: bell is not a file descriptor");
      }
      link.takeBell(bell);
      return {};
    },

    committed: () => {
      this.#wake();
      return {};
    },
  };

  /** With several clients, commits are passed on; for that the clients have to wake us. */
  #watchClients(): void {
    const isNeeded = this.#links.size > 1;
    this.#relay.activate(isNeeded);
    if (isNeeded || this.#givesBells) this.#giveBells();
  }

  #giveBells(): void {
    this.#givesBells = true;
    for (const link of this.#links.values()) link.giveBell(() => this.#wake());
  }

  /** A client may have committed something. */
  #wake(): void {
    this.#relay.pass();
    this.#listeners.ring();
  }
}

/** Sends a reply. */
function accept(message: IncomingMessage, reply: XpcRecord): void {
  using _ = message;
  try {
    message.reply({ ok: true, ...reply });
  } catch (error) {
    refuse(message, error);
  } finally {
    // The message has captured what was made to be shared.
    for (const value of Object.values(reply)) disposeValue(value);
  }
}

/** Refuses a request. */
function refuse(message: IncomingMessage, error: unknown): void {
  using _ = message;
  const refusal = error instanceof LinkRefusal ? error : new LinkRefusal("failed", (error as Error).message);
  message.reply(refusal.reply);
}
