/**
 * Runs a fuzz target for a while, and tells what it did.
 *
 * @module
 */
import { ROOT } from "../support/native.ts";

const OUTPUT = `${ROOT}/.build/fuzz`;

/** The longest that one input may take before it counts as a hang, in seconds: the machine may be busy. */
const HANG_SECONDS = 120;

/** What a run found. */
export interface Findings {
  /** How many inputs were tried. */
  readonly executions: number;
  /** How many that is in a second. */
  readonly perSecond: number;
  /** How many places of the code were reached. */
  readonly coverage: number;
  /** Set when an input made the target fail. */
  readonly failure?: { readonly reproducer: string; readonly log: string };
}

/** How to run a target. */
export interface FuzzOptions {
  /** The target's name: "decoder". */
  readonly name: string;
  /** The program. */
  readonly program: string;
  /** For how long, in seconds. */
  readonly seconds: number;
  /** Runs just this input, once. */
  readonly input?: string | undefined;
}

/**
 * Has the seeds of all targets written where {@linkcode fuzz} finds them.
 *
 * @param seeds the program that writes them
 * @param targets the targets' names
 */
export async function writeSeeds(seeds: string, targets: Iterable<string>): Promise<void> {
  for (const target of targets) await Deno.mkdir(`${OUTPUT}/corpus/${target}`, { recursive: true });
  const command = new Deno.Command(seeds, { args: [`${OUTPUT}/corpus`], stdin: "null" });
  const { success, stderr } = await command.output();
  if (!success) throw new Error(`Cannot write the seeds:\n${new TextDecoder().decode(stderr)}`);
}

/**
 * Runs a target until its time is over or an input makes it fail. Inputs that reach new code stay in
 * `.build/fuzz/corpus`, for the next run.
 *
 * @param options which, and for how long
 * @returns what it did
 */
export async function fuzz(options: FuzzOptions): Promise<Findings> {
  const { name, program, seconds, input } = options;
  const corpus = `${OUTPUT}/corpus/${name}`;
  const failures = `${OUTPUT}/failures/${name}`;
  for (const folder of [corpus, failures]) await Deno.mkdir(folder, { recursive: true });
  const runtime = await Deno.makeTempDir({ prefix: "xpc-fuzz-" });
  try {
    const args = [
      `-max_total_time=${seconds}`,
      `-timeout=${HANG_SECONDS}`,
      "-max_len=65536",
      "-rss_limit_mb=2048",
      "-print_final_stats=1",
      `-artifact_prefix=${failures}/`,
      input ?? corpus,
    ];
    const env = { XDG_RUNTIME_DIR: runtime, UBSAN_OPTIONS: "print_stacktrace=1" };
    const { success, stdout, stderr } = await new Deno.Command(program, { args, env, stdin: "null" })
      .output();
    const decoder = new TextDecoder();
    return read(success, `${decoder.decode(stdout)}${decoder.decode(stderr)}`, input ?? failures);
  } finally {
    await Deno.remove(runtime, { recursive: true });
  }
}

function read(success: boolean, log: string, where: string): Findings {
  const number = (pattern: RegExp): number => Number(log.match(pattern)?.[1] ?? 0);
  const findings = {
    executions: number(/number_of_executed_units:\s*(\d+)/),
    perSecond: number(/average_exec_per_sec:\s*(\d+)/),
    coverage: Math.max(0, ...[...log.matchAll(/cov: (\d+)/g)].map(([, count]) => Number(count))),
  };
  if (success) return findings;
  const reproducer = log.match(/Test unit written to (\S+)/)?.[1] ?? where;
  return { ...findings, failure: { reproducer, log } };
}
