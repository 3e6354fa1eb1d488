import type { Options } from "../options.ts";
import { Process, uniqueName } from "../processes.ts";
import { type Bench, type Row, rowOf } from "../row.ts";

/** The time of a process, from its start to its end. */
async function timeOf(script: string, args: readonly string[]): Promise<number> {
  const path = new URL(`../${script}`, import.meta.url).href;
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--no-check", path, ...args],
    stderr: "inherit",
  });
  const begin = performance.now();
  const { code } = await command.output();
  const time = (performance.now() - begin) * 1e6;
  if (code !== 0) throw new Error(`Cannot run ${script}: code ${code}`);
  return time;
}

/** From the start of an app to its first look at a region, beyond what Deno takes for itself. */
export const start: Bench = {
  key: "start",
  run: async ({ rounds, quick, large }: Options): Promise<Row[]> => {
    const setting = { name: uniqueName("start"), broker: uniqueName("broker"), regions: { frame: large } };
    await using _ = await Process.start("server", setting);
    const args = [setting.name, setting.broker, "frame"];
    const whole: number[] = [];
    const bare: number[] = [];
    for (let round = -1; round < rounds; round++) {
      const times: [number[], number[]] = [[], []];
      for (let repeat = quick ? 2 : 0; repeat < 3; repeat++) {
        times[0].push(await timeOf("nothing.ts", []));
        times[1].push(await timeOf("first_view.ts", args));
      }
      if (round < 0) continue; // that was to fill Deno's cache
      bare.push(Math.min(...times[0]));
      whole.push(Math.min(...times[1]));
    }
    return [
      rowOf({
        name: "import, connect, open, first view",
        ours: whole.map((time, round) => time - bare[round]!),
        bound: { kind: "time below", limit: 50e6 },
        note: "beyond an empty process; the best of three in each round",
      }),
      rowOf({ name: "an empty process of Deno's", ours: bare }),
    ];
  },
};
