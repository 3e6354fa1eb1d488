import type { Library } from "../../ffi/load.ts";
import { Mapping } from "../memory/mapping.ts";
import type { ShimAudience } from "../../ffi/types.ts";
import { Doorbell } from "../sync/doorbell.ts";
import { CLIENT_BYTES, clientParkedAt, MAXIMUM_REGIONS } from "./layout.ts";
import { Connection, FileDescriptor, SharedMemory } from "../xpc/mod.ts";

/** What a server keeps of a client that said hello: its words, its place in the audience, the doorbells. */
export class ServerLink {
  /** The owner of mutexes that the client is; never given out again. */
  readonly owner: number;
  readonly #library: Library;
  readonly #connection: Connection;
  readonly #words: Mapping;
  readonly #audience: ShimAudience;
  readonly #member: number;
  #clientBell = -1;
  #ownBell: Promise<Doorbell | undefined> | undefined;
  #ended = false;

  /**
   * @param words what the client says are its words
   * @throws {RangeError} if they are shorter than the layout, or could become so
   */
  constructor(
    library: Library,
    connection: Connection,
    words: SharedMemory,
    audience: ShimAudience,
    owner: number,
  ) {
    this.owner = owner;
    this.#library = library;
    this.#connection = connection;
    this.#audience = audience;
    this.#words = Mapping.open(words, CLIENT_BYTES);
    const parked = this.#words.word(clientParkedAt(0));
    this.#member = library.shim.shim_audience_add(audience, parked, MAXIMUM_REGIONS, -1);
    if (this.#member < 0) {
      this.#words.close();
      throw new RangeError("Cannot take another client: no memory is left");
    }
  }

  /** The client's doorbell: whatever it is, ringing it cannot block or hurt us. */
  takeBell(bell: FileDescriptor): void {
    if (this.#clientBell >= 0) {
      throw new RangeError("Cannot take another doorbell of this client: it has one");
    }
    this.#clientBell = bell.dup();
    this.#library.shim.shim_audience_set_bell(this.#audience, this.#member, this.#clientBell);
  }

  /** Gives the client a doorbell to ring us by, once, where we can make one. */
  giveBell(ring: () => void): void {
    this.#ownBell ??= this.#makeBell(ring);
  }

  async #makeBell(ring: () => void): Promise<Doorbell | undefined> {
    const made = await Doorbell.create(this.#library, ring);
    if (made === undefined) return undefined; // its messages are our doorbell
    try {
      using bell = await FileDescriptor.from(made.fd);
      if (!this.#ended && this.#connection.open) this.#connection.send({ event: "bell", bell });
    } finally {
      this.#library.shim.shim_descriptor_close(made.fd);
    }
    return made.bell;
  }

  /** The client is gone. */
  async end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    const { shim } = this.#library;
    shim.shim_audience_remove(this.#audience, this.#member);
    if (this.#clientBell >= 0) shim.shim_descriptor_close(this.#clientBell);
    this.#words.close();
    await (await this.#ownBell)?.close();
  }
}
