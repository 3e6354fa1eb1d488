/**
 * A run: casts one after the other, each disturbed for some rounds.
 *
 * @module
 */
import { Cast } from "./cast.ts";
import { Invariants } from "./invariants.ts";
import { type BrokerKind, describe, type Disturbance, type Kind, KINDS, plan } from "./plan.ts";

/** How many rounds a cast has to live through. */
const ROUNDS_OF_A_CAST = 5;

/** What to run. */
export interface RunOptions {
  readonly rounds: number;
  readonly seed: number;
  /** What may happen. */
  readonly kinds?: readonly Kind[] | undefined;
  /** Called after the disturbances of each round, before the invariants are checked. */
  readonly disturbed?: ((cast: Cast) => void | Promise<void>) | undefined;
  /** Gets a line for each round. */
  readonly log?: ((line: string) => void) | undefined;
}

/** The brokers there are here. */
export function brokers(): BrokerKind[] {
  const named = Deno.env.get("XPC_SHMEM_AGENT") ?? "";
  return named.trim() === "" ? ["elected", "process"] : ["elected", "process", "agent"];
}

/**
 * Runs until all rounds are over, or an invariant does not hold.
 *
 * @throws {Error} that tells the seed, the plan of the round, and the last lines of each process
 */
export async function run(options: RunOptions): Promise<void> {
  const { rounds, seed, kinds = KINDS, disturbed, log = () => {} } = options;
  const available = brokers();
  for (let first = 1; first <= rounds; first += ROUNDS_OF_A_CAST) {
    const kind = available[((first - 1) / ROUNDS_OF_A_CAST) % available.length]!;
    const cast = await Cast.start(kind);
    await using _ = cast;
    const invariants = new Invariants(cast);
    await orExplain("before its first round", seed, [], cast, () => invariants.check());
    const last = Math.min(rounds, first + ROUNDS_OF_A_CAST - 1);
    for (let round = first; round <= last; round++) {
      const disturbances = plan(seed, round, kind, kinds);
      const begin = performance.now();
      await orExplain(`in round ${round}`, seed, disturbances, cast, async () => {
        await cast.disturb(disturbances);
        await disturbed?.(cast);
        await invariants.check();
      });
      const took = Math.round(performance.now() - begin);
      log(`round ${round}, broker ${kind}: ${disturbances.length} disturbances, ${took} ms`);
    }
    await orExplain(`at the end, after round ${last}`, seed, [], cast, () => cast.finish());
  }
}

async function orExplain(
  when: string,
  seed: number,
  disturbances: readonly Disturbance[],
  cast: Cast,
  step: () => Promise<void>,
): Promise<void> {
  try {
    await step();
  } catch (error) {
    throw new Error(
      `Cannot hold the invariants ${when}: ${(error as Error).message}\n` +
        `seed ${seed}, broker ${cast.kind}, the plan:\n${describe(disturbances)}\n` +
        `the last lines of each process:\n${cast.lastLines}`,
      { cause: error },
    );
  }
}
