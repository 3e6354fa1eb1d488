import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { ROOT } from "../support/native.ts";
import { BOUND, type Cast } from "./cast.ts";
import { run } from "./chaos.ts";
import { CAST, type Kind, KINDS, plan, roleOf } from "./plan.ts";
import { HOLDER } from "./programs/words.ts";

/** Twice five rounds: with a broker that is elected, and with one that is a process of its own. */
const ROUNDS = 10;
const SEED = 1;

const ignore = Deno.build.os !== "linux"; // a test has no broker of its own elsewhere

Deno.test({
  name: `chaos: ${ROUNDS} rounds of seed ${SEED}, and whoever lives goes on`,
  ignore,
  fn: () => run({ rounds: ROUNDS, seed: SEED }),
});

Deno.test("chaos: a seed decides what happens, when and to whom", () => {
  const rounds = (seed: number) => [1, 2, 3, 4].map((round) => plan(seed, round, "process", KINDS));
  assertEquals(rounds(1), rounds(1));
  assertNotEquals(rounds(1), rounds(2));
});

Deno.test("chaos: plans reach everybody with everything that can happen to them", () => {
  const seen = new Set<string>();
  for (let round = 1; round <= 1000; round++) {
    for (const { to, kind, at, lasts } of plan(1, round, "process", KINDS)) {
      seen.add(`${kind} ${to}`);
      assert(at >= 0 && lasts > 0);
    }
  }
  for (const name of CAST) {
    for (const kind of ["kill", "stop", "exhaust"]) assert(seen.has(`${kind} ${name}`), `${kind} ${name}`);
    const role = roleOf(name);
    assertEquals(seen.has(`slow ${name}`), ["client", "reader"].includes(role));
    assertEquals(seen.has(`kill-holding ${name}`), ["holder", "reader", "taker"].includes(role));
  }
  const elected = plan(1, 1, "elected", ["kill"] as Kind[]).concat(plan(1, 2, "elected", ["kill"] as Kind[]));
  assert(elected.every(({ to }) => to !== "broker"));
});

/** Runs a round in which something happens that no plan has, and gives what the run says of it. */
async function planted(disturbed: (cast: Cast) => void | Promise<void>): Promise<string> {
  const error = await assertRejects(() => run({ rounds: 1, seed: 5, kinds: ["slow"], disturbed }), Error);
  return error.message;
}

Deno.test({
  name: "chaos: a process that ends by itself is told with the seed, the plan and the last lines of all",
  ignore,
  fn: async () => {
    const said = await planted(async (cast) => {
      const client = cast.actors.get("client1")!;
      client.signal("SIGABRT");
      await client.status;
    });
    assertStringIncludes(said, "in round 1: client1 ended by itself: SIGABRT");
    assertStringIncludes(said, "seed 5, broker elected, the plan:");
    assertMatch(said, /\d+ ms {2}slow client\d \(\d+ ms\)/);
    for (const name of ["server", "client2", "holder1"]) {
      assertMatch(said, new RegExp(`  ${name}, process \\d+`));
    }
    assertStringIncludes(said, "was called: ready");
  },
});

Deno.test({
  name: "chaos: a lock that is held by two is found",
  ignore,
  fn: async () => {
    const said = await planted(async (cast) => {
      const holder = cast.actors.get("holder1")!;
      await holder.call("hold", {}, BOUND);
      await cast.server.call("scribble", { region: "frame", word: HOLDER, value: 999 }, BOUND);
      await holder.call("release", {}, BOUND);
    });
    assertStringIncludes(said, "holder1: holder 999 came into the lock of");
  },
});

Deno.test({
  name: "chaos: content and revisions that go back are found",
  ignore,
  fn: async () => {
    const said = await planted((cast) => cast.server.call("back", {}, BOUND));
    assertMatch(said, /client\d: "(frame|mask)" went back from \d+ to \d+\n/);
  },
});

Deno.test("chaos: refuses a command line that it does not understand", async () => {
  for (const args of [["--rounds", "0"], ["--seed", "x"], ["--only", "nothing"], ["what"]]) {
    const command = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", `${ROOT}/tests/chaos/main.ts`, ...args],
    });
    assertEquals((await command.output()).code, 2, args.join(" "));
  }
});
