import { Mapping } from "../memory/mapping.ts";
import { Doorbell } from "../sync/doorbell.ts";
import { OwnerDeath } from "../sync/owner_death.ts";
import { type Connection, FileDescriptor, type SharedMemory } from "../xpc/mod.ts";
import {
  ALL_TURNS_AT,
  CLIENT_BYTES,
  clientParkedAt,
  MAXIMUM_REGIONS,
  mutexAt,
  sharedRevisionAt,
  STRIDE,
} from "./layout.ts";
import type { LinkEnd } from "./link_end.ts";

/** What a server keeps of a client that said hello: its words, its place in the audience, the doorbells. */
export class ServerLink {
  readonly #end: LinkEnd;
  readonly #connection: Connection;
  readonly #words: Mapping;
  readonly #member: number;
  readonly #death: OwnerDeath;
  #clientBell: number | undefined;
  #ownBell: Promise<Doorbell | undefined> | undefined;
  #ended: Promise<void> | undefined;

  /**
   * @param end the server's end
   * @param connection to the client
   * @param words what the client says are its words
   * @param owner the client's number as an owner of mutexes
   * @throws {RangeError} if the words are shorter than the layout, or could become so
   * @throws {ConnectionError} if the client is gone
   */
  constructor(end: LinkEnd, connection: Connection, words: SharedMemory, owner: number) {
    using undo = new DisposableStack();
    const { queue: { library }, audience, locks } = end;
    this.#end = end;
    this.#connection = connection;
    this.#words = undo.use(Mapping.open(words, CLIENT_BYTES));
    this.#death = undo.use(
      new OwnerDeath(library, connection, {
        mutexes: locks.word(mutexAt(0)),
        revisions: locks.word(sharedRevisionAt(0), 8),
        stride: STRIDE,
        count: MAXIMUM_REGIONS,
        owner,
        gone: null,
        turns: locks.word(ALL_TURNS_AT, 8),
        locks: end.ownedLocks,
      }),
    );
    const parked = this.#words.word(clientParkedAt(0));
    this.#member = library.shim.shim_audience_add(audience, parked, MAXIMUM_REGIONS, -1);
    if (this.#member < 0) throw new RangeError("Cannot take another client: no memory is left");
    undo.move();
  }

  /**
   * Takes the client's doorbell. Whatever descriptor it is, ringing it cannot block or hurt us.
   *
   * @throws {RangeError} if the client gave one before
   */
  takeBell(bell: FileDescriptor): void {
    if (this.#clientBell !== undefined) {
      throw new RangeError("Cannot take another doorbell of this client: it gave one before");
    }
    this.#clientBell = bell.dup();
    const { queue: { library: { shim } }, audience } = this.#end;
    shim.shim_audience_set_bell(audience, this.#member, this.#clientBell);
  }

  /** Gives the client a doorbell to ring us by, once. */
  giveBell(ring: () => void): void {
    this.#ownBell ??= this.#makeBell(ring);
  }

  async #makeBell(ring: () => void): Promise<Doorbell | undefined> {
    let doorbell: Doorbell | undefined;
    try {
      doorbell = await Doorbell.open(this.#end.queue, ring);
      using bell = await FileDescriptor.from(doorbell.ringFd);
      doorbell.closeRingingEnd();
      if (this.#ended === undefined && this.#connection.open) this.#connection.send({ event: "bell", bell });
      return doorbell;
    } catch {
      await doorbell?.close(); // no descriptor is left: the client's messages wake us instead
      return undefined;
    }
  }

  /** Forgets the client, which is gone. Idempotent. */
  end(): Promise<void> {
    this.#ended ??= this.#dispose();
    return this.#ended;
  }

  async #dispose(): Promise<void> {
    const { queue: { library: { shim } }, audience } = this.#end;
    shim.shim_audience_remove(audience, this.#member);
    if (this.#clientBell !== undefined) shim.shim_descriptor_close(this.#clientBell);
    this.#death[Symbol.dispose]();
    this.#words.close();
    await (await this.#ownBell)?.close();
  }
}
