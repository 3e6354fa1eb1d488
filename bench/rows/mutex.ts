import { mutexProgram, run } from "../native.ts";
import type { Options } from "../options.ts";
import { Process, uniqueName } from "../processes.ts";
import { type Bench, type Row, rowOf } from "../row.ts";
import { median } from "../statistics.ts";

/** Locking and unlocking what nobody else wants. */
export const mutex: Bench = {
  key: "mutex",
  run: async ({ rounds, quick }: Options): Promise<Row[]> => {
    const program = await mutexProgram();
    const times: Record<string, number[]> = { tryLocks: [], syncLocks: [], usingLocks: [], usingNothing: [] };
    const theirs: number[] = [];
    const locks = { pairs: 10_000, batches: quick ? 3 : 51 };
    for (let round = 0; round < rounds; round++) {
      await using process = await Process.start("server", {
        name: uniqueName("mutex"),
        broker: uniqueName("broker"),
        regions: { ball: 4096 },
      });
      theirs.push(median(await run(program, [locks.pairs, locks.batches])));
      for (const [exercise, rounds] of Object.entries(times)) {
        if (!quick) await process.call(exercise, locks); // until it is compiled
        rounds.push(median(await process.call<number[]>(exercise, locks)));
      }
    }
    const baseline = { name: program.name, rounds: theirs };
    const bound = { kind: "ratio at most", limit: 2.5 } as const;
    const language = median(times["usingNothing"]!).toFixed(0);
    return [
      rowOf({ name: "mutex: tryLock() and unlock()", ours: times["tryLocks"]!, baseline, bound }),
      rowOf({ name: "mutex: lockSync() and unlock()", ours: times["syncLocks"]!, baseline, bound }),
      rowOf({
        name: "mutex: using _ = lockSync()",
        ours: times["usingLocks"]!,
        baseline,
        note: `\`using\` alone, of nothing, takes Deno ${language} ns`,
      }),
    ];
  },
};
