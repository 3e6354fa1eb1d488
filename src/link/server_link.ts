import type { Address, ShimAudience } from "../../ffi/types.ts";
import { Mapping } from "../memory/mapping.ts";
import { Doorbell } from "../sync/doorbell.ts";
import { OwnerDeath } from "../sync/owner_death.ts";
import { type Connection, FileDescriptor, type SharedMemory } from "../xpc/mod.ts";
import {
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
  /** The connection to the client. */
  readonly connection: Connection;
  /** What the client calls itself; empty without a label. */
  readonly label: string;
  readonly #end: LinkEnd;
  readonly #words: Mapping;
  readonly #member: number;
  /** This client alone, for what is sent to nobody else. */
  readonly audience: ShimAudience;
  readonly #memberAlone: number;
  readonly #death: OwnerDeath;
  #clientBell: number | undefined;
  #ownBell: Promise<Doorbell | undefined> | undefined;
  #ended: Promise<void> | undefined;

  /**
   * @param end the server's end
   * @param connection to the client
   * @param words what the client says are its words
   * @param owner the client's number as an owner of mutexes
   * @param label what it calls itself
   * @throws {RangeError} if the words are shorter than the layout, or could become so
   * @throws {ConnectionError} if the client is gone
   */
  constructor(end: LinkEnd, connection: Connection, words: SharedMemory, owner: number, label: string) {
    using undo = new DisposableStack();
    const { queue: { library }, audience, locks } = end;
    this.#end = end;
    this.connection = connection;
    this.label = label;
    this.#words = undo.use(Mapping.open(words, CLIENT_BYTES));
    this.#death = undo.use(
      new OwnerDeath(library, connection, {
        mutexes: locks.word(mutexAt(0)),
        revisions: locks.word(sharedRevisionAt(0), 8),
        stride: STRIDE,
        count: MAXIMUM_REGIONS,
        owner,
        gone: null,
      }),
    );
    const parked = this.#words.word(clientParkedAt(0));
    this.#member = library.shim.shim_audience_add(audience, parked, MAXIMUM_REGIONS, -1);
    if (this.#member < 0) throw new RangeError("Cannot take another client: no memory is left");
    undo.defer(() => library.shim.shim_audience_remove(audience, this.#member));
    const alone = library.shim.shim_audience_create();
    if (alone === null) throw new RangeError("Cannot take another client: no memory is left");
    this.audience = alone;
    undo.defer(() => library.shim.shim_audience_free(alone));
    this.#memberAlone = library.shim.shim_audience_add(alone, parked, MAXIMUM_REGIONS, -1);
    if (this.#memberAlone < 0) throw new RangeError("Cannot take another client: no memory is left");
    undo.move();
  }

  /** Whether the client is gone. */
  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /** The client's process, from the kernel. */
  get pid(): number {
    return this.connection.peer.pid;
  }

  /** A word that is not 0 once the client is dead, until {@linkcode end}. */
  get dead(): Address {
    return this.#death.dead;
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
    shim.shim_audience_set_bell(this.audience, this.#memberAlone, this.#clientBell);
  }

  /** Takes the client's doorbell, if a descriptor is left. */
  tryTakeBell(bell: FileDescriptor): boolean {
    try {
      this.takeBell(bell);
      return true;
    } catch {
      return false; // the client offers it again when it first needs it
    }
  }

  /**
   * Makes the doorbell by which the client rings us, once.
   *
   * @param ring called at each ring
   * @returns what the client gets, and the caller disposes; `undefined` if no descriptor is left
   */
  makeBell(ring: () => void): Promise<FileDescriptor | undefined> {
    const made = this.#openBell(ring);
    this.#ownBell = made.then((made) => made?.doorbell);
    return made.then((made) => made?.bell);
  }

  /** Gives the client a doorbell to ring us by, once. */
  giveBell(ring: () => void): void {
    if (this.#ownBell !== undefined) return;
    void this.makeBell(ring).then((bell) => {
      using _ = bell;
      if (bell === undefined || this.ended || !this.connection.open) return;
      this.connection.send({ event: "bell", bell });
    });
  }

  async #openBell(
    ring: () => void,
  ): Promise<{ readonly doorbell: Doorbell; readonly bell: FileDescriptor } | undefined> {
    let doorbell: Doorbell | undefined;
    try {
      doorbell = await Doorbell.open(this.#end.queue, ring);
      const bell = await FileDescriptor.from(doorbell.ringFd);
      doorbell.closeRingingEnd();
      return { doorbell, bell };
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
    shim.shim_audience_free(this.audience);
    if (this.#clientBell !== undefined) shim.shim_descriptor_close(this.#clientBell);
    this.#death[Symbol.dispose]();
    this.#words.close();
    await (await this.#ownBell)?.close();
  }
}
