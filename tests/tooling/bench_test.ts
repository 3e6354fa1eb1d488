import { assert, assertEquals } from "@std/assert";

interface Row {
  readonly bench: string;
  readonly name: string;
  readonly ours: { readonly median: number; readonly min: number; readonly max: number };
  readonly ratio: { readonly median: number } | null;
  readonly bound: { readonly kind: string } | null;
  readonly holds: boolean | null;
}

async function bench(...args: string[]): Promise<{ code: number; out: string; error: string }> {
  const script = decodeURIComponent(new URL("../../bench/main.ts", import.meta.url).pathname);
  const command = new Deno.Command(Deno.execPath(), { args: ["run", "-A", "--quiet", script, ...args] });
  const { code, stdout, stderr } = await command.output();
  const text = new TextDecoder();
  return { code, out: text.decode(stdout), error: text.decode(stderr) };
}

Deno.test("the bench gives every row, and says of each bound whether it holds", async () => {
  const { code, out, error } = await bench("--quick", "--json");
  assertEquals(code, 0, error);
  const { rows } = JSON.parse(out) as { rows: Row[] };
  const bounded = new Map<string, number>();
  for (const { bench, name, ours, ratio, bound, holds } of rows) {
    assert(ours.min <= ours.median && ours.median <= ours.max, name);
    assert(ours.median > 0 || bench === "start", name); // a difference may be anything on a busy machine
    assertEquals(holds === null, bound === null, name);
    if (bound?.kind.startsWith("ratio") === true) assert((ratio?.median ?? 0) > 0, name);
    if (bound !== null) bounded.set(bench, (bounded.get(bench) ?? 0) + 1);
  }
  assertEquals(Object.fromEntries(bounded), {
    views: 7,
    layouts: 4,
    spin: 1,
    futex: 1,
    wake: 3,
    handover: 2,
    streams: 10,
    channels: 1,
    cadence: 1,
    mutex: 2,
    ranges: 1,
    regions: 1,
    start: 1,
    peers: 1,
  });
});

Deno.test("the bench runs what --only names, and refuses what it does not know", async () => {
  const { code, out, error } = await bench("--quick", "--only", "handover");
  assertEquals(code, 0, error);
  assert(out.includes("handing over 4 KiB") && !out.includes("mutex"), out);
  for (const args of [["--only", "nothing"], ["--rounds", "0"], ["--fast"], ["spin"]]) {
    assertEquals((await bench(...args)).code, 2, args.join(" "));
  }
});
