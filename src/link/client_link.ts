import { Mapping } from "../memory/mapping.ts";
import type { Address, ShimAudience } from "../../ffi/types.ts";
import { Doorbell } from "../sync/doorbell.ts";
import {
  CLIENT_BYTES,
  clientParkedAt,
  generationAt,
  GONE_AT,
  LOCK_BYTES,
  MAXIMUM_REGIONS,
  MUTEX_OWNER,
  mutexAt,
  SERVER_BYTES,
  SERVER_OWNER,
  serverParkedAt,
  serverRevisionAt,
  sharedRevisionAt,
  STRIDE,
} from "./layout.ts";
import { Mutex } from "../sync/mutex.ts";
import { ParkedWord } from "../sync/parked_word.ts";
import { type Bell, goneError, Revisions } from "../sync/revisions.ts";
import type { EventQueue } from "../xpc/event_queue.ts";
import type { Endpoint } from "../xpc/endpoint.ts";
import type { IncomingMessage } from "../xpc/incoming_message.ts";
import {
  Connection,
  ConnectionError,
  disposeValue,
  FileDescriptor,
  SharedMemory,
  type XpcRecord,
} from "../xpc/mod.ts";
import { integerOf, LAYOUT, NEWEST_VERSION, OLDEST_VERSION } from "./protocol.ts";
import { IncompatibleError } from "./errors.ts";
import { ReadableRegion, type Region, type RegionParts, WritableRegion } from "../exchange/region.ts";

/** What a client must know of a server to connect. */
export interface LinkTarget {
  readonly endpoint: Endpoint;
  readonly schema: Uint8Array | null;
  readonly requirement: string | undefined;
}

/** One connection of a client to one life of a server: everything here ends with it. */
export class ClientLink implements Bell {
  readonly #queue: EventQueue;
  readonly #connection: Connection;
  readonly #words: Mapping;
  readonly #audience: ShimAudience;
  readonly #regions = new Set<Region>();
  readonly #listeners = new Set<() => void>();
  readonly #parked = new Map<number, ParkedWord>();
  #server: Mapping | undefined;
  #locks: Mapping | undefined;
  #owner = 0;
  #member = -1;
  #serverBell = -1;
  #bell: Promise<Doorbell | undefined> | undefined;
  readonly #unused = Promise.withResolvers<void>();
  #closing: Promise<void> | undefined;
  #bellReady = false;
  #orphaned = false;

  /** Connects and shakes hands. Takes over one use of the queue. */
  static async open(
    queue: EventQueue,
    target: LinkTarget,
    signal: AbortSignal | undefined,
  ): Promise<ClientLink> {
    const words = await Mapping.create(CLIENT_BYTES);
    let link: ClientLink | undefined;
    try {
      const connection = await Connection.toEndpoint(target.endpoint, {
        message: (message) => link?.receive(message),
        requirement: target.requirement,
      });
      link = new ClientLink(queue, connection, words);
    } catch (error) {
      words.close();
      await queue.release();
      throw error;
    }
    try {
      await link.#hello(target.schema, signal);
    } catch (error) {
      await link.close();
      throw error;
    }
    return link;
  }

  private constructor(queue: EventQueue, connection: Connection, words: Mapping) {
    const audience = queue.library.shim.shim_audience_create();
    if (audience === null) throw new Error("Cannot connect: no memory is left");
    this.#queue = queue;
    this.#connection = connection;
    this.#words = words;
    this.#audience = audience;
  }

  /** Resolves when the server is gone, or the link was closed. */
  get closed(): Promise<ConnectionError> {
    return this.#connection.closed;
  }

  /** Who serves, from the kernel. */
  get pid(): number {
    return this.#connection.peer.pid;
  }

  async #hello(schema: Uint8Array | null, signal: AbortSignal | undefined): Promise<void> {
    const words = this.#words.share();
    const range = { min: OLDEST_VERSION, max: NEWEST_VERSION };
    const request = { op: "hello", ...range, layout: LAYOUT, schema, words, features: [] };
    const reply = await this.#connection.request(request, { signal }).finally(() => words[Symbol.dispose]());
    try {
      this.#check(reply);
      // The broker's word on who serves does not count here: the kernel's does.
      if (this.#connection.peer.euid !== this.#queue.library.shim.shim_euid()) {
        throw new IncompatibleError(`Cannot connect: user ${this.#connection.peer.euid} runs the server`);
      }
      const owner = integerOf(reply["owner"], MUTEX_OWNER);
      const { server, locks, version } = reply;
      if (
        typeof version !== "bigint" || version < OLDEST_VERSION || version > NEWEST_VERSION ||
        owner === undefined || owner <= SERVER_OWNER || !(server instanceof FileDescriptor) ||
        !(locks instanceof SharedMemory)
      ) {
        throw new IncompatibleError("Cannot connect: the server's hello is not of this version");
      }
      this.#owner = owner;
      this.#server = Mapping.open(server, SERVER_BYTES);
      this.#locks = Mapping.open(locks, LOCK_BYTES);
    } finally {
      disposeValue(reply);
    }
    // What the server holds when it dies is abandoned, and our own threads are told, on XPC's thread.
    this.#connection.guard(
      this.#locks.word(0),
      STRIDE,
      MAXIMUM_REGIONS,
      SERVER_OWNER,
      this.#words.word(GONE_AT),
    );
    const { shim } = this.#queue.library;
    this.#member = shim.shim_audience_add(
      this.#audience,
      this.#server.word(serverParkedAt(0)),
      MAXIMUM_REGIONS,
      this.#serverBell, // its bell may have come with the answer to hello
    );
  }

  #check(reply: XpcRecord): void {
    if (reply["ok"] === true) return;
    const { message } = reply;
    if (typeof message !== "string") {
      throw new IncompatibleError("Cannot use the server: its answer is not of this version");
    }
    if (reply["code"] === "incompatible") throw new IncompatibleError(message);
    if (reply["code"] === "not_found") throw new Deno.errors.NotFound(message);
    throw new Error(message);
  }

  /** Opens a region. */
  async region(
    name: string,
    options: { write: boolean; prefault: boolean; signal: AbortSignal | undefined },
  ): Promise<ReadableRegion | WritableRegion> {
    const reply = await this.#connection.request({ op: "open", name }, { signal: options.signal });
    try {
      this.#check(reply);
      const index = integerOf(reply["index"], MAXIMUM_REGIONS - 1);
      const generation = integerOf(reply["generation"], Number.MAX_SAFE_INTEGER);
      const byteLength = integerOf(reply["byteLength"], Number.MAX_SAFE_INTEGER);
      const memory = reply["memory"];
      if (
        index === undefined || generation === undefined || byteLength === undefined ||
        !(memory instanceof SharedMemory || memory instanceof FileDescriptor)
      ) throw new IncompatibleError(`Cannot open "${name}": the server's answer is not of this version`);
      const clients = memory instanceof SharedMemory ? "write" : "read";
      if (options.write && clients === "read") {
        throw new Deno.errors.NotCapable(
          `Cannot open "${name}" for writing: its server lets clients only read it`,
        );
      }
      return this.#make(
        name,
        index,
        generation,
        Mapping.open(memory, byteLength, options.prefault),
        options.write,
      );
    } finally {
      disposeValue(reply);
    }
  }

  #make(
    name: string,
    index: number,
    generation: number,
    mapping: Mapping,
    write: boolean,
  ): ReadableRegion | WritableRegion {
    const queue = this.#queue;
    const server = this.#server!;
    const locks = this.#locks!;
    const clients = mapping.writable ? "write" : "read";
    const serverParked = server.word(serverParkedAt(index));
    const parts: RegionParts = {
      name,
      generation,
      clients,
      mapping,
      mutex: clients === "write"
        ? new Mutex({ queue, word: locks.word(mutexAt(index)), owner: this.#owner }, name)
        : undefined,
      revisions: new Revisions({
        queue,
        name,
        index,
        revision: clients === "write"
          ? locks.word(sharedRevisionAt(index))
          : server.word(serverRevisionAt(index)),
        generation: server.word(generationAt(index)),
        parked: this.#parkedWord(index),
        gone: this.#words.word(GONE_AT),
        audience: this.#audience,
        bell: this,
      }, generation),
      onClose: () => {
        this.#regions.delete(region);
        if (this.#orphaned && this.#regions.size === 0) this.#unused.resolve();
      },
      onCommit: () => {
        if (this.#serverBell < 0) this.#committed(index, serverParked);
      },
    };
    const region = write ? new WritableRegion(parts) : new ReadableRegion(parts);
    this.#regions.add(region);
    return region;
  }

  #parkedWord(index: number): ParkedWord {
    let word = this.#parked.get(index);
    if (word === undefined) {
      word = new ParkedWord(this.#queue.library, this.#words.word(clientParkedAt(index)));
      this.#parked.set(index, word);
    }
    return word;
  }

  /** Where we have no bell of the server's, a message is one. */
  #committed(index: number, parked: Address): void {
    if (!this.#connection.open || this.#queue.library.shim.shim_word_load(parked) === 0) return;
    this.#connection.send({ op: "committed", index: BigInt(index) });
  }

  /** @internal The server gives us a bell to ring it by. */
  receive(message: IncomingMessage): void {
    using _ = message;
    const bell = message.values["bell"];
    if (message.values["event"] !== "bell" || !(bell instanceof FileDescriptor) || this.#serverBell >= 0) {
      return;
    }
    const { shim } = this.#queue.library;
    this.#serverBell = bell.dup();
    if (this.#member >= 0) shim.shim_audience_set_bell(this.#audience, this.#member, this.#serverBell);
    // For what was committed while we had none. A bell that fails is a server that is gone: its link will say so.
    shim.shim_bell_ring(this.#serverBell);
  }

  /** Makes our doorbell and gives it to the server, once. */
  ready(): boolean {
    this.#bell ??= this.#makeBell();
    return this.#bellReady;
  }

  async #makeBell(): Promise<Doorbell | undefined> {
    const { library } = this.#queue;
    const made = await Doorbell.create(library, () => {
      for (const listener of this.#listeners) listener();
    });
    if (made === undefined) return undefined;
    try {
      using bell = await FileDescriptor.from(made.fd);
      this.#check(await this.#connection.request({ op: "bell", bell }));
      this.#bellReady = true;
      return made.bell;
    } catch {
      await made.bell.close(); // the server is gone, which its link tells, or takes none: a thread waits instead
      return undefined;
    } finally {
      library.shim.shim_descriptor_close(made.fd);
    }
  }

  add(listener: () => void): void {
    this.#listeners.add(listener);
  }

  remove(listener: () => void): void {
    this.#listeners.delete(listener);
  }

  /** The server is gone: tells every region, and ends when the last of them is closed. */
  async orphan(): Promise<void> {
    this.#orphaned = true;
    await Promise.all([...this.#regions].map((region) => region.orphan(goneError(region.name))));
    if (this.#regions.size > 0) await this.#unused.promise;
    await this.close();
  }

  /** Closes the regions that are open still, then the connection, then the words. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#regions].map((region) => region.close()));
    // It is we who leave: what the server holds, it holds still.
    this.#connection.unguard();
    await this.#connection.close();
    await (await this.#bell)?.close();
    const { shim } = this.#queue.library;
    if (this.#serverBell >= 0) shim.shim_descriptor_close(this.#serverBell);
    shim.shim_audience_free(this.#audience);
    this.#server?.close();
    this.#locks?.close();
    this.#words.close();
    await this.#queue.release();
  }
}
