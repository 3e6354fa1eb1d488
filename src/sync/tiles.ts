import type { Library } from "../../ffi/load.ts";
import { valueOf } from "../../ffi/memory.ts";
import type { Address, ShimAudience } from "../../ffi/types.ts";
import type { Mapping } from "../memory/mapping.ts";
import { inWords } from "../xpc/in_words.ts";
import { PeerGoneError } from "./errors.ts";
import { MUTEX_ABANDONED, MUTEX_OWNER } from "./mutex.ts";
import { millisecondsOf, timeoutError } from "./waiting.ts";

/** The length of a tile, in bytes, unless told otherwise. */
export const DEFAULT_TILE_BYTES = 65536;

/** The least and the most that a tile may have; each length is a multiple of the least. */
const MIN_TILE_BYTES = 64;
const MAX_TILE_BYTES = 2 ** 30;

/** How long a copy waits for whoever holds the mutex, in milliseconds, unless told otherwise. */
const DEFAULT_TIMEOUT = 1000;

/** `SHIM_TILES_OTHER_REALM`, and the place of the owner in `struct shim_tiles`. */
const OTHER_REALM = 0x1_0000_0000n;
const OWNER = 5;

/** The runs that a first look has room for. */
const FEW_RUNS = 64;

/** Whether a number can be the length of a tile. */
export function isTileBytes(value: number): boolean {
  return value % MIN_TILE_BYTES === 0 && value >= MIN_TILE_BYTES && value <= MAX_TILE_BYTES;
}

/** A part of a region. */
export interface ByteRange {
  /** Where it begins, in bytes from the beginning of the region. */
  readonly byteOffset: number;
  /** Its length, in bytes. */
  readonly byteLength: number;
}

/** Options of `copyChanges()`. */
export interface CopyChangesOptions {
  /**
   * The longest time to wait for whoever holds the mutex, in milliseconds. The event loop stands still meanwhile.
   *
   * @default {1000}
   */
  timeout?: number | undefined;
}

/** What `copyChanges()` did. */
export interface CopiedChanges {
  /** What the target has now: hand it to the next call. */
  readonly revision: number;
  /** How many bytes were copied; what changed during the call may count twice. */
  readonly bytesCopied: number;
  /**
   * Whether the target has exactly what belongs to `revision`. Where commits followed each other too quickly, it has
   * newer tiles also; each of them is whole, and the next call copies what is missing.
   */
  readonly consistent: boolean;
  /** Whether the mutex was locked for it, since writers left no time in between. */
  readonly locked: boolean;
}

/** Where the tiles of a region are, and the words that go with them. */
export interface TilesPlace {
  /** The native libraries. */
  readonly library: Library;
  /** The region's name, for errors. */
  readonly name: string;
  /** The region's number. */
  readonly index: number;
  /** The waiters that a commit of ours wakes. */
  readonly audience: ShimAudience;
  /** The memory, with the tiles behind what views show. */
  readonly mapping: Mapping;
  /** The length of a tile; 0 where the region has none. */
  readonly tileBytes: number;
  /** The region's revision. */
  readonly revision: Address;
  /** The newest generation of the region. */
  readonly generation: Address;
  /** The generation that is mapped. */
  readonly mapped: number;
  /** The mutex under which the region is written. */
  readonly mutex: Address;
  /** This end as an owner of the mutex; 0 where it cannot lock it. */
  readonly owner: number;
  /** The turns of all locks, for those who wait for the mutex. */
  readonly turns: Address;
  /** Whether this realm does not hold what this end holds: other realms of the process are the same owner. */
  readonly isElsewhere?: () => boolean;
}

/** The tiles of one generation of a region: which parts of it changed, and when. */
export class Tiles {
  readonly #place: TilesPlace;
  readonly #shim: Library["shim"];
  readonly #results = new Float64Array(4);
  /** `struct shim_tiles`, made at the first use. */
  #native: BigUint64Array<ArrayBuffer> | undefined;
  #ranges: Float64Array<ArrayBuffer> | undefined;

  /** @param place where the words are */
  constructor(place: TilesPlace) {
    this.#place = place;
    this.#shim = place.library.shim;
  }

  /** The length of a tile, in bytes: the whole region where the server of an older kind gives it none. */
  get tileBytes(): number {
    const { tileBytes, mapping } = this.#place;
    return tileBytes === 0 ? mapping.byteLength : tileBytes;
  }

  /** Makes a new revision in which only these parts changed, and wakes those who wait for one. */
  commit(ranges: readonly ByteRange[]): number {
    const pairs = this.#check(ranges);
    const { audience, index } = this.#place;
    return this.#shim.shim_tiles_commit(this.#words("commit"), audience, index, pairs, ranges.length);
  }

  /** The parts that may have changed after `since` up to `revision`, in their order. */
  changes(since: number, revision: number): ByteRange[] {
    const words = this.#words("look at");
    let runs = new Float64Array(2 * FEW_RUNS);
    for (;;) {
      const found = this.#shim.shim_tiles_changed(words, since, revision, runs, runs.length / 2);
      if (found * 2 <= runs.length) return rangesOf(runs, found);
      runs = new Float64Array(found * 2 + FEW_RUNS); // more may come
    }
  }

  /** Copies what changed after `since` to its place in `target`. */
  copyChanges(
    target: ArrayBufferView,
    since: number | undefined,
    options: CopyChangesOptions,
    isOrphaned: boolean,
  ): CopiedChanges {
    const bytes = this.#checkTarget(target);
    const known = this.#checkRevision(since);
    const milliseconds = millisecondsOf({ timeout: options.timeout ?? DEFAULT_TIMEOUT });
    // A dead server never unlocks what clients cannot lock.
    const patience = isOrphaned && this.#place.owner === 0 ? 0 : milliseconds;
    const words = this.#words("copy");
    const { owner, isElsewhere } = this.#place;
    words[OWNER] = BigInt(owner) | (isElsewhere?.() === true ? OTHER_REALM : 0n);
    const failed = this.#shim.shim_tiles_copy_wait(words, bytes, known, patience, this.#results);
    if (failed !== 0) throw this.#failure(milliseconds, isOrphaned);
    const [revision = 0, bytesCopied = 0, consistent, locked] = this.#results;
    return {
      revision: this.#ofMapped(revision, known),
      bytesCopied,
      consistent: consistent !== 0,
      locked: locked !== 0,
    };
  }

  /**
   * All generations share the revision. Where there is a newer one, `revision` may be of it, and whoever took it for
   * what was copied from this one would miss all of the newer. The generation is stored before the revision, so a look
   * at it after the copy tells.
   */
  #ofMapped(revision: number, known: number): number {
    const isNewest = this.#shim.shim_word_load64(this.#place.generation) === this.#place.mapped;
    return isNewest ? revision : Math.min(known, revision);
  }

  /** Fills `struct shim_tiles`; throws if the region is closed. */
  #words(doing: string): BigUint64Array<ArrayBuffer> {
    const { mapping, name, tileBytes, revision, mutex, owner, turns } = this.#place;
    if (mapping.closed) throw new TypeError(`Cannot ${doing} the changes of "${name}": it is closed`);
    return this.#native ??= BigUint64Array.of(
      valueOf(mapping.address),
      BigInt(mapping.byteLength),
      BigInt(tileBytes),
      valueOf(revision),
      valueOf(mutex),
      BigInt(owner),
      valueOf(turns),
    );
  }

  /** Checks all ranges, and gives them as the shim takes them. */
  #check(ranges: readonly ByteRange[]): Float64Array<ArrayBuffer> {
    if (!Array.isArray(ranges)) {
      throw new TypeError(
        `Cannot commit "${this.#place.name}" with ranges ${inWords(ranges)}: they are an array of ` +
          `{ byteOffset, byteLength }`,
      );
    }
    if (this.#ranges === undefined || this.#ranges.length < 2 * ranges.length) {
      this.#ranges = new Float64Array(Math.max(16, 2 * ranges.length));
    }
    const pairs = this.#ranges;
    for (let index = 0; index < ranges.length; index++) {
      const range: ByteRange | null | undefined = ranges[index];
      const byteOffset = this.#checkBytes(index, "byteOffset", range?.byteOffset);
      const byteLength = this.#checkBytes(index, "byteLength", range?.byteLength);
      if (byteOffset + byteLength > this.#place.mapping.byteLength) {
        throw new RangeError(
          `Cannot commit "${this.#place.name}": ranges[${index}] is from byte ${byteOffset} to ` +
            `${byteOffset + byteLength}, but the region has ${this.#place.mapping.byteLength} bytes`,
        );
      }
      pairs[2 * index] = byteOffset;
      pairs[2 * index + 1] = byteLength;
    }
    return pairs;
  }

  #checkBytes(index: number, option: string, value: unknown): number {
    const wrong = (): string =>
      `Cannot commit "${this.#place.name}": \`${option}\` of ranges[${index}] is ${
        inWords(value)
      }, but must be ` +
      `an integer from 0 to ${this.#place.mapping.byteLength}`;
    if (typeof value !== "number") throw new TypeError(wrong());
    if (Number.isInteger(value) && value >= 0 && value <= this.#place.mapping.byteLength) return value;
    throw new RangeError(wrong());
  }

  #checkTarget(target: unknown): Uint8Array<ArrayBuffer> {
    const { name, mapping } = this.#place;
    if (!ArrayBuffer.isView(target)) {
      throw new TypeError(
        `Cannot copy the changes of "${name}" to ${
          inWords(target)
        }: \`target\` is a typed array or a DataView`,
      );
    }
    if (target.byteLength !== mapping.byteLength && !mapping.closed) {
      throw new RangeError(
        `Cannot copy the changes of "${name}" to ${target.byteLength} bytes: \`target\` must have the length of ` +
          `the region, ${mapping.byteLength} bytes`,
      );
    }
    return new Uint8Array(target.buffer as ArrayBuffer, target.byteOffset, target.byteLength);
  }

  #checkRevision(since: number | undefined): number {
    if (since === undefined) return 0;
    if (Number.isInteger(since)) return since;
    throw new TypeError(
      `Cannot copy the changes of "${this.#place.name}" after ${
        inWords(since)
      }: \`lastRevision\` is a revision, an ` +
        `integer, or undefined`,
    );
  }

  /** Says why nothing could be copied; the words are a peer's, so this is for people only. */
  #failure(milliseconds: number, isOrphaned: boolean): Error {
    const { name, mutex } = this.#place;
    const doing = `copy the changes of "${name}"`;
    const state = this.#shim.shim_word_load(mutex);
    const holder = this.#shim.shim_mutex_holder(mutex);
    if (isOrphaned) {
      return new PeerGoneError(`Cannot ${doing}: the server is gone, and may have died while it wrote`);
    }
    let why = ": it was written all the time";
    if ((state & MUTEX_OWNER) !== 0) why = `: process ${holder} holds the mutex`;
    else if ((state & MUTEX_ABANDONED) !== 0) {
      why =
        `: process ${holder} died while it held the mutex, and may have left half of what it wrote; lock the ` +
        `mutex, mend the region, and commit`;
    }
    return timeoutError(doing, milliseconds, why);
  }
}

function rangesOf(runs: Float64Array, count: number): ByteRange[] {
  return Array.from({ length: count }, (_, index) => ({
    byteOffset: runs[2 * index]!,
    byteLength: runs[2 * index + 1]!,
  }));
}
