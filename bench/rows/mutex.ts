import { mutexProgram, run } from "../native.ts";
import type { Options } from "../options.ts";
import { Process, uniqueName } from "../processes.ts";
import { type Bench, type Row, rowOf } from "../row.ts";
import { lowDecile, median } from "../statistics.ts";

/** Locking and unlocking what nobody else wants. */
export const mutex: Bench = {
  key: "mutex",
  run: async ({ rounds, quick }: Options): Promise<Row[]> => {
    const program = await mutexProgram();
    const times: Record<string, number[]> = {
      tryLocks: [],
      syncLocks: [],
      withLocks: [],
      usingLocks: [],
      usingNothing: [],
    };
    const theirs: number[] = [];
    const locks = { pairs: 5000, batches: quick ? 3 : 201 };
    const turns = quick ? 1 : 3;
    for (let round = 0; round < rounds; round++) {
      await using process = await Process.start("server", {
        name: uniqueName("mutex"),
        broker: uniqueName("broker"),
        regions: { ball: 4096 },
      });
      const batches: Record<string, number[]> = {};
      for (const exercise of Object.keys(times)) {
        if (!quick) await process.call(exercise, locks); // until it is compiled
        batches[exercise] = [];
      }
      const programs: number[] = [];
      for (let turn = 0; turn < turns; turn++) {
        programs.push(...await run(program, [locks.pairs, locks.batches]));
        for (const [exercise, all] of Object.entries(batches)) {
          all.push(...await process.call<number[]>(exercise, locks));
        }
      }
      // Not the middle: who else uses the core slows such loops by half, and not each of them alike.
      theirs.push(lowDecile(programs));
      for (const [exercise, rounds] of Object.entries(times)) rounds.push(lowDecile(batches[exercise]!));
    }
    const baseline = { name: program.name, rounds: theirs };
    const bound = { kind: "ratio at most", limit: 2.5 } as const;
    const note = "the quickest tenth of the batches, of both";
    const language = median(times["usingNothing"]!).toFixed(0);
    return [
      rowOf({ name: "mutex: tryLock() and unlock()", ours: times["tryLocks"]!, baseline, bound, note }),
      rowOf({ name: "mutex: lockSync() and unlock()", ours: times["syncLocks"]!, baseline, bound, note }),
      rowOf({ name: "mutex: with()", ours: times["withLocks"]!, baseline, note }),
      rowOf({
        name: "mutex: using _ = lockSync()",
        ours: times["usingLocks"]!,
        baseline,
        note: `\`using\` alone, of nothing, takes Deno ${language} ns`,
      }),
    ];
  },
};
