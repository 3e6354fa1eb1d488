import "./_library.ts";
import { Connection, Listener } from "../xpc/mod.ts";

/** What a leak would show in: what this process has at a moment. */
export interface ProcessResources {
  /** How many descriptors are open. */
  readonly descriptors: number;
  /** How many shared memories are mapped. Always 0 on macOS, which does not tell. */
  readonly mappings: number;
  /** How many threads there are, but for those of V8 and of Deno's event loop. Always 0 on macOS. */
  readonly threads: number;
}

/** Options of {@linkcode leakCheck}. */
export interface LeakCheckOptions {
  /**
   * How long the check waits for what is on its way out, in milliseconds: idle threads leave after some seconds.
   *
   * @default {20_000}
   */
  timeout?: number | undefined;
}

/** A check that is under way: disposing it compares. */
export interface LeakCheck extends AsyncDisposable {
  /** What the process had when the check began. */
  readonly before: ProcessResources;
  /**
   * Waits until the process has no more than it had, at most for the check's timeout.
   *
   * @throws {LeakError} if it still has more
   */
  verify(): Promise<void>;
}

/** Thrown when a process has more than before: it names what is new. */
export class LeakError extends Error {
  /** What the process had. */
  readonly before: ProcessResources;
  /** What it has. */
  readonly after: ProcessResources;

  /**
   * Makes the error.
   *
   * @param before what the process had
   * @param after what it has
   * @param found what is new, a line each
   */
  constructor(before: ProcessResources, after: ProcessResources, found: readonly string[]) {
    const more = (["descriptors", "mappings", "threads"] as const)
      .filter((what) => after[what] > before[what])
      .map((what) => `${after[what] - before[what]} more ${what}`);
    super(`Cannot end without a leak: there are ${[more.join(", "), ...found].join("\n  ")}`);
    this.name = "LeakError";
    this.before = before;
    this.after = after;
  }
}

/** What there is, each by a line that names it. */
interface Inventory {
  readonly descriptors: readonly string[];
  readonly mappings: readonly string[];
  readonly threads: readonly string[];
}

/**
 * Counts what this process has.
 *
 * @returns the counts
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { processResources } from "@xpc/shmem/testing";
 *
 * assert(processResources().descriptors > 0);
 * ```
 */
export function processResources(): ProcessResources {
  return count(inventory());
}

/**
 * Begins a check for leaks: when it is disposed, the process must have no more descriptors, mapped shared memories
 * and threads than now. It sees what Deno's own sanitizers cannot, which know nothing of native memory.
 *
 * Regions, clients and servers that were not closed are leaks, also where the garbage collector would find them some
 * day. Begin the check before what it is to watch, so that it is disposed after that.
 *
 * @param options how long to wait for what is on its way out
 * @returns the check
 * @example
 * ```ts
 * import { connect, serve } from "@xpc/shmem";
 * import { leakCheck, testSandbox } from "@xpc/shmem/testing";
 *
 * await using _leaks = await leakCheck();
 * await using sandbox = await testSandbox();
 * const { name, broker } = sandbox;
 * await using server = await serve(name, { broker, regions: { frame: { byteLength: 4096 } } });
 * await using client = await connect(name, { broker });
 * await client.open("frame");
 * ```
 */
export async function leakCheck(options: LeakCheckOptions = {}): Promise<LeakCheck> {
  const { timeout = 20_000 } = options;
  if (!(timeout >= 0)) {
    throw new RangeError(`Cannot check for leaks: "timeout" is ${timeout}, want 0 or more milliseconds`);
  }
  await warmUp();
  const begin = inventory();
  const before = count(begin);
  const verify = async (): Promise<void> => {
    const end = performance.now() + timeout;
    for (;;) {
      const now = inventory();
      const after = count(now);
      if (noMore(before, after)) return;
      if (performance.now() >= end) throw new LeakError(before, after, difference(begin, now));
      await new Promise((resolve) => setTimeout(resolve, 20)); // nothing tells when a thread has ended
    }
  };
  return { before, verify, [Symbol.asyncDispose]: verify };
}

/** The first connection of a process starts threads and opens descriptors that the library keeps. */
async function warmUp(): Promise<void> {
  await using listener = await Listener.anonymous(() => ({ message: (message) => message.reply({}) }));
  using endpoint = listener.endpoint();
  await using connection = await Connection.toEndpoint(endpoint);
  await connection.request({});
}

function count({ descriptors, mappings, threads }: Inventory): ProcessResources {
  return { descriptors: descriptors.length, mappings: mappings.length, threads: threads.length };
}

function noMore(before: ProcessResources, after: ProcessResources): boolean {
  return after.descriptors <= before.descriptors && after.mappings <= before.mappings &&
    after.threads <= before.threads;
}

function inventory(): Inventory {
  if (Deno.build.os !== "linux") {
    return { descriptors: entries("/dev/fd"), mappings: [], threads: [] };
  }
  return {
    // Deno makes itself an epoll instance and an event descriptor with the first worker, and keeps them.
    descriptors: entries("/proc/self/fd").map((fd) => `descriptor ${fd}: ${link(`/proc/self/fd/${fd}`)}`)
      .filter((line) => !/: anon_inode:\[event(poll|fd)\]$/.test(line)),
    mappings: text("/proc/self/maps").split("\n").filter((line) => line.includes("/memfd:"))
      .map((line) => `mapping ${line.replace(/ +/g, " ")}`),
    // Deno starts those as it needs them, and keeps them.
    threads: entries("/proc/self/task").map((id) =>
      `thread ${id}: ${text(`/proc/self/task/${id}/comm`).trim()}`
    )
      .filter((line) => !/: (V8 |tokio)/.test(line)),
  };
}

function entries(path: string): string[] {
  return [...Deno.readDirSync(path)].map(({ name }) => name);
}

/** Where a descriptor leads; the one that read the folder is closed by now. */
function link(path: string): string {
  try {
    return Deno.readLinkSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "closed meanwhile";
    throw error;
  }
}

/** A file of /proc, empty where the thread has ended. */
function text(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    if (error instanceof Error && /os error 3\b/.test(error.message)) return ""; // ESRCH: it ended as we read
    throw error;
  }
}

function difference(before: Inventory, after: Inventory): string[] {
  return (["descriptors", "mappings", "threads"] as const).flatMap((what) => {
    if (after[what].length <= before[what].length) return [];
    const known = new Set(before[what]);
    return after[what].filter((line) => !known.has(line));
  });
}
