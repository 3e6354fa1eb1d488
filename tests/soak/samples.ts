/**
 * What a process uses, seen from outside, and whether that grows.
 *
 * @module
 */

/** What a process uses at a moment. */
export interface Sample {
  /** Resident memory, in KiB. */
  readonly resident: number;
  readonly descriptors: number;
  readonly threads: number;
  /** Mapped shared memories. */
  readonly mappings: number;
}

/** What is measured. */
const KEYS = ["resident", "descriptors", "threads", "mappings"] as const;

/**
 * How much more there may be at the end: resident memory in KiB, for V8's heap has its own mind; a thread, for the
 * pools of the library and of Deno start one more when they are busy.
 */
export const BOUNDS: Readonly<Sample> = { resident: 16_384, descriptors: 0, threads: 1, mappings: 0 };

/** Reads what a process uses, from /proc. */
export async function sample(pid: number): Promise<Sample> {
  const [status, maps, descriptors] = await Promise.all([
    Deno.readTextFile(`/proc/${pid}/status`),
    Deno.readTextFile(`/proc/${pid}/maps`),
    Array.fromAsync(Deno.readDir(`/proc/${pid}/fd`)),
  ]);
  return {
    resident: Number(status.match(/^VmRSS:\s+(\d+)/m)?.[1]),
    descriptors: descriptors.length,
    threads: Number(status.match(/^Threads:\s+(\d+)/m)?.[1]),
    mappings: maps.split("\n").filter((line) => line.includes("/memfd:")).length,
  };
}

/** How one number went. */
export interface Course {
  readonly key: keyof Sample;
  /** The least in the third quarter: before, everything warms up, and heaps take what they will keep. */
  readonly early: number;
  /** The least in the last quarter. */
  readonly late: number;
  readonly most: number;
  /** The least in each eighth of the time: tells a leak from what needs long to warm up. */
  readonly eighths: readonly number[];
  /** Whether it grew by no more than its bound. */
  readonly flat: boolean;
}

/**
 * Compares the least of the last quarter with the least of the third. A leak raises the least; what comes and goes, such
 * as a client whose end the server has not noticed yet, does not. A slow leak of memory needs a long soak to show.
 *
 * @param samples in order, at least eight
 * @returns how each number went
 */
export function courses(samples: readonly Sample[]): Course[] {
  const quarter = Math.floor(samples.length / 4);
  if (quarter < 2) throw new RangeError(`Cannot judge ${samples.length} samples: want 8 or more`);
  return KEYS.map((key) => {
    const values = samples.map((each) => each[key]);
    const early = Math.min(...values.slice(2 * quarter, 3 * quarter));
    const late = Math.min(...values.slice(-quarter));
    const most = Math.max(...values);
    const eighths = Array.from({ length: 8 }, (_, index) => {
      const [from, to] = [index, index + 1].map((bound) => Math.floor(bound * values.length / 8));
      return Math.min(...values.slice(from, to));
    });
    return { key, early, late, most, eighths, flat: late - early <= BOUNDS[key] };
  });
}
