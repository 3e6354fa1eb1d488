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
import { CATALOG, DEVICE, HOLDER, MARKS } from "./programs/words.ts";

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
    assertMatch(said, /\d+ ms {2}slow (client|reader)\d \(\d+ ms\)/);
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

Deno.test({
  name: "chaos: torn frames, wrong answers and locks that are held by too many are found",
  ignore,
  fn: async () => {
    const said = await planted(async ({ server }) => {
      const scribble = (word: number, value: number) => {
        return server.call("scribble", { region: "ledger", word, value }, BOUND);
      };
      await server.call("tear", {}, BOUND);
      await server.call("lie", {}, BOUND);
      // Marks of the last loops that may be: no taker has so high a number here.
      await scribble(MARKS + 255, server.pid * 2 ** 32 + 1);
      await scribble(MARKS + 254, server.pid * 2 ** 32 + 2);
      await scribble(DEVICE, 999);
      await scribble(CATALOG, 998);
    });
    assertMatch(said, /reader\d: "video": frame \d+ is torn at \d+ .*, and its lease is valid/);
    assertMatch(said, /reader\d: "log": frame \d+ is torn at \d+ .*, and its lease is valid/);
    assertMatch(said, /client\d: request \d+ \(now\) was answered by \{/);
    assertMatch(said, /client\d: message 0 came back after \d+/);
    assertMatch(said, /client\d: the channel gave half a message after \d+/);
    assertMatch(said, /taker\d: holder 999 .* the lock .*\(device\)/);
    assertMatch(said, /taker\d: .*998/);
    assertMatch(said, /taker\d: [34] hold the 2 units of the budget/);
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
