import { describeError } from "../../ffi/errno.ts";
import type { Library } from "../../ffi/load.ts";
import { copyText, handleAt } from "../../ffi/memory.ts";
import type { Address, ShimAudience, ShimSeat } from "../../ffi/types.ts";
import { Mapping } from "../memory/mapping.ts";
import type { Bell } from "../sync/bell_listeners.ts";
import type { MutexCalls } from "../sync/mutex.ts";
import { ParkedWord } from "../sync/parked_word.ts";
import { goneError } from "../sync/revision_place.ts";
import { Turns } from "../sync/turns.ts";
import { EventQueue } from "../xpc/event_queue.ts";
import { inWords } from "../xpc/in_words.ts";
import { ALL_TURNS_AT, clientParkedAt, SERVER_OWNER, serverParkedAt } from "./layout.ts";
import type { LinkEnd } from "./link_end.ts";
import { LinkedRegion } from "./linked_region.ts";
import type { Share, SharedFacts, SharedRegion, Sharing } from "./sharing.ts";

/** What `shim_seat_take` says: it is over, or there never was such a share. */
const EPIPE = -32;
const ENOENT = -2;

/** What this realm has attached. It stays until it is closed: its memory ends with the seat and not by collection. */
const attached = new Set<LinkedRegion>();

/** Where nobody rings: a thread of this realm sleeps on the revision instead. */
const NO_BELL: Bell = { ready: () => false, add: () => {}, remove: () => {} };

/** A region of another realm that was attached, and what may be done with it. */
export interface Attached {
  readonly linked: LinkedRegion;
  readonly access: "read" | "write";
}

/**
 * The end of a link as a realm sees it that has not made the link: a seat. It has mappings of its own of the same pages,
 * so nothing that another realm does unmaps them. One for each region that is attached.
 */
export class AttachedEnd implements LinkEnd {
  readonly queue: EventQueue;
  readonly server: Mapping;
  readonly locks: Mapping;
  readonly owner: number;
  readonly audience: ShimAudience;
  readonly turns: Turns;
  readonly ownedLocks = null;
  readonly bell = NO_BELL;
  readonly gone: Address;
  readonly sharing: Pick<Sharing, "has" | "share">;
  readonly mutexCalls: MutexCalls;
  readonly #seat: ShimSeat;
  readonly #words: Mapping | undefined;
  readonly #requests: readonly number[];
  readonly #parked = new Map<number, ParkedWord>();

  /**
   * Attaches a region.
   *
   * @throws {TypeError} if the message is not one of `region.share()`, or its region is closed
   * @throws {Error} if it cannot be mapped
   */
  static async attach(message: SharedRegion): Promise<Attached> {
    checkMessage(message);
    const queue = await EventQueue.acquire();
    try {
      return AttachedEnd.#take(queue, message);
    } catch (error) {
      await queue.release();
      throw error;
    }
  }

  static #take(queue: EventQueue, message: SharedRegion): Attached {
    const { library, library: { shim } } = queue;
    // Neither comes before this realm's event loop turns, when there is a region.
    const made: { linked?: LinkedRegion } = {};
    const gone = queue.expect(() => void made.linked?.orphan(goneError(message.name)));
    const closed = queue.expect(() => void made.linked?.close());
    const key = BigUint64Array.of(BigInt(message.id), ...message.secret);
    const out = new BigInt64Array(5);
    const seat = shim.shim_seat_take(queue.handle, gone, closed, key, out);
    if (seat === null) {
      queue.forget(gone);
      queue.forget(closed);
      throw failure(message.name, Number(out[4]));
    }
    const { access, ...facts } = factsOf(library, seat);
    const end = new AttachedEnd(queue, seat, message, facts, new DataView(out.buffer), [gone, closed]);
    const release = (): boolean => {
      shim.shim_seat_disown_data(seat);
      return true;
    };
    const address = handleAt<Address>(new DataView(out.buffer), 0)!;
    const { name, byteLength, behind, writable, data, layout } = facts;
    const mapping = Mapping.borrow(library, address, BigInt(data), byteLength, {
      ...{ name, behind, writable, release },
    });
    const linked = new LinkedRegion(end, { ...facts, layout }, mapping, async (closed) => {
      attached.delete(closed);
      await end.#leave();
    });
    made.linked = linked;
    attached.add(linked);
    return { linked, access };
  }

  private constructor(
    queue: EventQueue,
    seat: ShimSeat,
    message: SharedRegion,
    { mapped: [server, locks, words], owner }: Omit<SharedFacts, "access">,
    addresses: DataView,
    requests: readonly number[],
  ) {
    const { library, library: { shim } } = queue;
    const borrow = (part: number, length: number): Mapping => {
      const address = handleAt<Address>(addresses, part * 8)!;
      // The seat unmaps them.
      return Mapping.borrow(library, address, BigInt(length), length, {
        writable: true,
        release: () => false,
      });
    };
    this.queue = queue;
    this.#seat = seat;
    this.#requests = requests;
    this.server = borrow(1, server);
    this.locks = borrow(2, locks);
    this.#words = words === 0 ? undefined : borrow(3, words);
    this.owner = owner;
    this.audience = shim.shim_seat_audience(seat)!;
    this.gone = shim.shim_seat_ended(seat)!;
    this.turns = new Turns(queue, this.locks.word(ALL_TURNS_AT, 8));
    this.mutexCalls = callsOf(library, seat);
    // Whoever gets the message from here attaches to the realm that shared it first.
    const share: Share = { message, close: () => Promise.resolve() };
    this.sharing = { has: () => true, share: () => share };
  }

  parkedWord(index: number): ParkedWord {
    let word = this.#parked.get(index);
    if (word === undefined) {
      const { owner, server, queue: { library } } = this;
      const address = owner === SERVER_OWNER
        ? server.word(serverParkedAt(index))
        : this.#words!.word(clientParkedAt(index));
      this.#parked.set(index, word = new ParkedWord(library, address));
    }
    return word;
  }

  /** The audience has been woken by the commit itself. */
  committed(): void {}

  /** The region is closed, and its waits have ended: the realm that shared it may close it. */
  async #leave(): Promise<void> {
    await this.turns.close();
    for (const request of this.#requests) this.queue.forget(request);
    this.queue.library.shim.shim_seat_leave(this.#seat);
    await this.queue.release();
  }
}

/** The functions of the mutex of a seat, which notes whether this realm holds it. */
function callsOf({ shim }: Library, seat: ShimSeat): MutexCalls {
  return {
    shim_mutex_try: () => shim.shim_seat_try(seat),
    shim_mutex_wait: (_word, _owner, spin, milliseconds) => shim.shim_seat_wait(seat, spin, milliseconds),
    shim_mutex_wait_async: (queue, request, _word, _owner, milliseconds) =>
      shim.shim_seat_wait_async(queue, request, seat, milliseconds),
    shim_turn_unlock: () => shim.shim_seat_unlock(seat),
    shim_mutex_abandon: () => shim.shim_seat_abandon(seat),
    shim_turn_give: () => {}, // the one before does it
    shim_mutex_holder: (word) => shim.shim_mutex_holder(word),
    shim_wait_cancel: (queue, request) => shim.shim_wait_cancel(queue, request),
    shim_word_load: (word) => shim.shim_word_load(word),
  };
}

/** What the realm that shared the region wrote down, in this process's own memory. */
function factsOf({ shim }: Library, seat: ShimSeat): SharedFacts {
  const length = new Uint32Array(1);
  const text = shim.shim_seat_facts(seat, length);
  return JSON.parse(copyText(text, length[0]!));
}

function failure(name: string, error: number): Error {
  const doing = `Cannot attach the region ${JSON.stringify(name)}`;
  if (error === EPIPE) return new TypeError(`${doing}: it is closed, or its server is gone`);
  if (error === ENOENT) return new TypeError(`${doing}: no realm of this process has shared it so`);
  return new Error(`${doing}: ${describeError(error)}`);
}

/** Checks what came by `postMessage()`. What it says of itself is looked up in the table of this process. */
function checkMessage(message: unknown): asserts message is SharedRegion {
  const wrong = new TypeError(`Cannot attach ${inWords(message)}: it is what region.share() gives`);
  if (typeof message !== "object" || message === null) throw wrong;
  const { access, name, process, id, secret } = message as { [field: string]: unknown };
  const isWhole = (access === "read" || access === "write") && typeof name === "string" &&
    typeof process === "number" && Number.isSafeInteger(id) && id as number >= 0 && Array.isArray(secret) &&
    secret.length === 2 && secret.every((half) => typeof half === "bigint");
  if (!isWhole) throw wrong;
  if (process === Deno.pid) return;
  throw new TypeError(
    `Cannot attach the region ${
      JSON.stringify(name)
    }: process ${process} has shared it among its own realms. ` +
      "Another process connects, and opens it",
  );
}
