/**
 * Where the writer puts its frames: streams, whose slots are free at once, or regions, which it locks.
 *
 * @module
 */
import type {
  FrameLoan,
  LockGuard,
  RegionOptions,
  Server,
  StreamOptions,
  WritableRegion,
} from "../../mod.ts";
import type { WritableMemory } from "./content.ts";
import { regionName, type Setting } from "./messages.ts";

/** A frame that is being written. Disposing it ends that. */
export interface Draft extends Disposable {
  /** Where to write. */
  readonly memory: WritableMemory;
  /** The number that the frame will have. */
  readonly revision: number;
  /** Whether the lock's last holder had died. */
  readonly abandoned: boolean;
  /** Makes it the newest frame, and wakes those who wait for one. */
  commit(): void;
}

/** All places for frames, by number. */
export interface Target {
  /** Begins a frame; waits for the reader if it must. */
  begin(index: number): Promise<Draft> | Draft;
  /** The numbers of the newest frames. */
  readonly revisions: readonly number[];
  /** How many readers there are, where that is known. */
  readonly readers: number | undefined;
}

/** What `serve()` is told, without the small region. */
export interface Served {
  readonly regions: Record<string, RegionOptions>;
  readonly streams: Record<string, StreamOptions>;
}

function names({ regions }: Setting): string[] {
  return Array.from({ length: regions }, (_, index) => regionName(index));
}

/** The regions and streams of a setting. */
export function servedBy(setting: Setting): Served {
  const { mode, byteLength, slots } = setting;
  const all = <T>(options: T): Record<string, T> =>
    Object.fromEntries(names(setting).map((name) => [name, options]));
  if (mode === "stream") return { regions: {}, streams: all({ byteLength, slots }) };
  // The reader locks the mutex of a frame, so it may write there.
  return { regions: all({ byteLength }), streams: {} };
}

/** Where to write in what the server serves. */
export function targetOf(server: Server, setting: Setting): Target {
  return setting.mode === "stream" ? new StreamTarget(server, setting) : new RegionTarget(server, setting);
}

class RegionTarget implements Target {
  readonly readers = undefined;
  readonly #regions: readonly WritableRegion[];

  constructor(server: Server, setting: Setting) {
    this.#regions = names(setting).map((name) => server.region(name));
  }

  get revisions(): number[] {
    return this.#regions.map(({ revision }) => revision);
  }

  async begin(index: number): Promise<Draft> {
    const region = this.#regions[index]!;
    return new LockedDraft(region, await region.mutex.lock());
  }
}

/** A frame in a region, under the lock, so that whoever holds the lock sees a frame and its revision. */
class LockedDraft implements Draft {
  readonly memory: WritableRegion;
  readonly revision: number;
  readonly #guard: LockGuard;

  constructor(region: WritableRegion, guard: LockGuard) {
    this.memory = region;
    this.revision = region.revision + 1;
    this.#guard = guard;
  }

  get abandoned(): boolean {
    return this.#guard.abandoned;
  }

  commit(): void {
    this.memory.commit();
  }

  [Symbol.dispose](): void {
    this.#guard.unlock();
  }
}

class StreamTarget implements Target {
  readonly #streams: ReturnType<Server["stream"]>[];

  constructor(server: Server, setting: Setting) {
    this.#streams = names(setting).map((name) => server.stream(name));
  }

  get revisions(): number[] {
    return this.#streams.map(({ sequence }) => sequence);
  }

  get readers(): number {
    return this.#streams[0]!.readers;
  }

  begin(index: number): Draft {
    const stream = this.#streams[index]!;
    return new LoanedDraft(stream.loan(), stream.sequence + 1);
  }
}

/** A frame in a slot that nobody reads. */
class LoanedDraft implements Draft {
  readonly memory: FrameLoan;
  readonly revision: number;
  readonly abandoned = false;

  constructor(loan: FrameLoan, revision: number) {
    this.memory = loan;
    this.revision = revision;
  }

  commit(): void {
    this.memory.publish();
  }

  [Symbol.dispose](): void {
    this.memory[Symbol.dispose]();
  }
}
