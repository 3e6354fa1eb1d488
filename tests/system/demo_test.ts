import { delay } from "@std/async/delay";
import {
  assert,
  assertEquals,
  assertGreater,
  assertMatch,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { fill, findWrong, type FrameId } from "../../examples/demo/content.ts";
import { fit } from "../../examples/demo/run.ts";
import { parseOptions, parseSize, UsageError } from "../../examples/demo/options.ts";
import type { Result } from "../../examples/demo/result.ts";
import { missing } from "../../examples/demo/seen.ts";
import { putStamp, REMEMBERED, stampAfter, stampBytes } from "../../examples/demo/stamps.ts";
import { distribution } from "../../examples/demo/statistics.ts";

const MAIN = new URL("../../examples/demo/main.ts", import.meta.url).href;
const SMALL = ["--regions", "3", "--size", "1MiB", "--seconds", "1", "--json"];

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the demo as a user does, without building. */
async function demo(args: readonly string[], env: Record<string, string> = {}): Promise<Outcome> {
  const command = new Deno.Command(Deno.execPath(), { args: ["run", "-A", "--quiet", MAIN, ...args], env });
  const { code, stdout, stderr } = await command.output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Runs the demo, which must succeed, and checks what every run has. */
async function succeeds(args: readonly string[], env: Record<string, string> = {}): Promise<Result> {
  const { code, stdout, stderr } = await demo(args, env);
  assertEquals(code, 0, `${stdout}\n${stderr}`);
  const result = JSON.parse(stdout) as Result; // fails where there is anything else on standard output
  assertEquals(result.errors, 0);
  assertEquals(result.failures, []);
  assertGreater(result.frames, 3);
  assertGreater(result.framesWritten, 3);
  assert(result.frames <= result.framesWritten, "more frames were verified than written");
  assertGreater(result.gigabytesPerSecond.written, 0);
  assertGreater(result.gigabytesPerSecond.verified, 0);
  assertGreater(result.attachMilliseconds, 0);
  assertEquals(result.framesTorn, 0);
  assert(
    result.frames + result.framesDropped <= result.framesWritten,
    "more frames were dropped than written",
  );
  assertGreater(result.cadence.waitMicroseconds.samples, 0);
  assert(result.cadence.late <= result.cadence.waitMicroseconds.samples);
  const { p50, p99, samples } = result.wakeMicroseconds;
  assertGreater(samples, 100);
  assert(p50 > 0 && p50 <= p99, `p50 is ${p50}, p99 ${p99}`);
  return result;
}

const ignore = Deno.build.os === "darwin"; // there the broker is the installed agent

for (const mode of ["stream", "mutex"]) {
  Deno.test(`demo --mode ${mode} shares frames and verifies every byte`, async () => {
    const result = await succeeds([...SMALL, "--mode", mode]);
    assertEquals(result.mode, mode);
    assertEquals(result.regions, 3);
    assertEquals(result.byteLength, 2 ** 20);
    assertEquals(result.slots, mode === "stream" ? 3 : 1);
    assertGreater(result.cadence.intervalMilliseconds.samples, 0);
    assertEquals(result.recovery, null);
  });
}

for (const mode of ["stream", "mutex"]) {
  Deno.test(`demo --mode ${mode}: opening eight times 100 MiB makes nothing resident`, () =>
    nothingResident(mode));
}

async function nothingResident(mode: string): Promise<void> {
  const result = await succeeds(["--seconds", "0.2", "--size", "100MiB", "--json", "--mode", mode]);
  assertEquals(result.regions, 8);
  assertEquals(result.byteLength, 104857600);
  for (const { before, after, end } of Object.values(result.residentBytes)) {
    // All pages of one region alone would be ten times that.
    assert(after - before < 10 * 2 ** 20, `${after - before} bytes became resident`);
    assertGreater(end - before, 8 * 100 * 2 ** 20 - 1); // since in the end all was written, and read
  }
}

for (const mode of ["stream", "mutex"]) {
  Deno.test(`demo --mode ${mode} takes lengths that are no multiple of a word, and one region`, async () => {
    const size = ["--regions", "1", "--size", "100003", "--seconds", "0.3"];
    const result = await succeeds([...size, "--json", "--mode", mode]);
    assertEquals(result.byteLength, 100003);
  });

  Deno.test(`demo --mode ${mode} --kill writer: the reader is told, and goes on with the next writer`, () => {
    return killWriter(mode);
  });

  Deno.test(`demo --mode ${mode} --kill reader: the writer learns of it, and another reader comes`, () => {
    return killReader(mode);
  });

  Deno.test(
    `demo --mode ${mode} --kill broker: the link lives on, and a third process finds the server`,
    { ignore },
    () => killBroker(mode),
  );
}

async function killWriter(mode: string): Promise<void> {
  const { recovery } = await succeeds([...SMALL, "--kill", "writer", "--mode", mode]);
  assertEquals(recovery?.killed, "writer");
  assertEquals(recovery?.abandonedLocks, mode === "mutex" ? 1 : 0);
  assertMatch(recovery?.held ?? "", /^frame-[0-2]$/);
  const { noticedMilliseconds, reattachedMilliseconds, recoveredMilliseconds, framesAfter } = recovery!;
  assert(noticedMilliseconds! > 0 && noticedMilliseconds! < reattachedMilliseconds!);
  assert(reattachedMilliseconds! <= recoveredMilliseconds && recoveredMilliseconds < 20_000);
  assertGreater(framesAfter, 0);
}

async function killReader(mode: string): Promise<void> {
  const { recovery } = await succeeds([...SMALL, "--kill", "reader", "--mode", mode]);
  assertEquals(recovery?.killed, "reader");
  if (mode === "mutex") assertGreater(recovery?.abandonedLocks, 0);
  else assertEquals(recovery?.abandonedLocks, 0);
  assert(recovery!.noticedMilliseconds! < recovery!.recoveredMilliseconds);
  assertGreater(recovery!.framesAfter, 0);
}

async function killBroker(mode: string): Promise<void> {
  const { recovery } = await succeeds([...SMALL, "--kill", "broker", "--mode", mode]);
  assertEquals(recovery?.killed, "broker");
  assertGreater(recovery!.framesAfter, 0);
  assertGreater(recovery!.connectMilliseconds!, 0);
}

Deno.test("demo --broker swift runs the command that XPC_SHMEM_AGENT names, again after its death", {
  ignore,
}, async () => {
  // Any program that vends the service that it is told: here, the embedded broker.
  const script = new URL("../../examples/demo/broker.ts", import.meta.url).href;
  const env = { XPC_SHMEM_AGENT: `${Deno.execPath()} run -A --quiet ${script}` };
  const result = await succeeds([...SMALL, "--broker", "swift", "--kill", "broker"], env);
  assertEquals(result.broker, "swift");
  assertGreater(result.recovery!.framesAfter, 0);
});

const agent = Deno.env.get("XPC_SHMEM_AGENT");

Deno.test({
  name: "demo --broker swift, with the agent itself, which is killed" +
    (agent === undefined ? " (skipped: XPC_SHMEM_AGENT is not set)" : ""),
  ignore: ignore || agent === undefined,
  fn: async () => {
    const result = await succeeds([...SMALL, "--broker", "swift", "--kill", "broker"], {
      XPC_SHMEM_AGENT: agent ?? "",
    });
    assertEquals([result.broker, result.errors], ["swift", 0]);
    assertGreater(result.recovery!.framesAfter, 0);
  },
});

Deno.test("demo --broker swift says how to get the agent", { ignore }, async () => {
  const { code, stdout, stderr } = await demo([...SMALL, "--broker", "swift"], { XPC_SHMEM_AGENT: "" });
  assertEquals(code, 2);
  assertEquals(stdout, "");
  assertMatch(stderr, /^Cannot start the agent: .*swift build/);
});

for (const mode of ["stream", "mutex"]) {
  Deno.test(`demo --mode ${mode} fails when a single byte is wrong`, async () => {
    const last = 2 ** 20 - 1;
    const env = { XPC_SHMEM_DEMO_WRONG_BYTE: String(last) };
    const { code, stdout } = await demo([...SMALL, "--mode", mode], env);
    assertEquals(code, 1);
    const { errors, framesTorn, failures } = JSON.parse(stdout) as Result;
    assertEquals([errors, framesTorn], [1, 1]);
    const wrong = /^Cannot verify (frame|revision) \d+ of "frame-2": byte 1048572 is wrong$/; // its word's
    assertMatch(failures[0] ?? "", wrong);
  });
}

Deno.test("demo prints a table for people", async () => {
  const { code, stdout } = await demo(["--regions", "2", "--size", "64KiB", "--seconds", "0.2"]);
  assertEquals(code, 0);
  for (
    const name of [
      "mode",
      "streams",
      "frames",
      "cadence",
      "writer waits",
      "wake",
      "attach",
      "writer's memory",
      "errors",
    ]
  ) {
    assertStringIncludes(stdout, name);
  }
  assert(!stdout.includes("\x1b"), "colours are for terminals");
});

Deno.test("demo refuses what it cannot do", async () => {
  for (
    const args of [
      ["--size", "ten"],
      ["--regions", "0"],
      ["--slots", "2"],
      ["--mode", "fast"],
      ["--kill", "cat"],
      ["--what"],
      ["--size", "9000GiB"],
    ]
  ) {
    const { code, stdout, stderr } = await demo(args);
    assertEquals(code, 2);
    assertEquals(stdout, "");
    assertMatch(stderr, /^Cannot [^\n]+\n$/);
  }
});

Deno.test("demo ends its processes on Ctrl-C", async () => {
  const args = ["run", "-A", "--quiet", MAIN, "--regions", "1", "--size", "4096", "--seconds", "60"];
  await using process = new Deno.Command(Deno.execPath(), { args, stdout: "null", stderr: "null" }).spawn();
  const children = await childrenOf(process.pid, 2);
  process.kill("SIGINT");
  assertEquals((await process.status).code, 130);
  for (const child of children) await gone(child);
});

/** Waits until a process has so many children. */
async function childrenOf(pid: number, count: number): Promise<number[]> {
  for (const end = performance.now() + 20_000; performance.now() < end;) {
    const { stdout } = await new Deno.Command("ps", { args: ["-A", "-o", "pid=,ppid="] }).output();
    const rows = new TextDecoder().decode(stdout).trim().split("\n").map((row) =>
      row.trim().split(/\s+/).map(Number)
    );
    // Not `ps` itself, which is a child of this test.
    const children = rows.flatMap(([child, parent]) => parent === pid && child !== undefined ? [child] : []);
    if (children.length >= count) return children;
    await delay(50);
  }
  throw new Error("Cannot find the children");
}

/** Waits until a process is dead; that nobody has waited for it does not make it alive. */
async function gone(pid: number): Promise<void> {
  for (const end = performance.now() + 10_000; performance.now() < end;) {
    const { stdout } = await new Deno.Command("ps", { args: ["-o", "stat=", "-p", String(pid)] }).output();
    const state = new TextDecoder().decode(stdout).trim();
    if (state === "" || state.startsWith("Z")) return;
    await delay(20);
  }
  throw new Error(`Cannot see the end of process ${pid}`);
}

/** A frame in private memory. */
function frame(byteLength: number): { bytes: Uint8Array; words: Int32Array; rest: Uint8Array } {
  const bytes = new Uint8Array(byteLength);
  const whole = byteLength - byteLength % 4;
  return { bytes, words: new Int32Array(bytes.buffer, 0, whole / 4), rest: bytes.subarray(whole) };
}

const ID: FrameId = { writer: 4711, region: 3, revision: 42 };

Deno.test("findWrong() finds any byte that is wrong, and only then", () => {
  for (const length of [1, 3, 4, 7, 64, 101]) {
    const { bytes, ...views } = frame(length);
    fill(views, ID);
    assertEquals(findWrong(views, ID), -1);
    for (let offset = 0; offset < length; offset++) {
      for (let bit = 1; bit < 256; bit <<= 1) {
        bytes[offset]! ^= bit;
        const found = findWrong(views, ID);
        assert(found >= 0 && found <= offset && offset - found < 4, `${found} instead of ${offset}`);
        bytes[offset]! ^= bit;
      }
    }
    assertEquals(findWrong(views, ID), -1);
  }
});

Deno.test("findWrong() finds frames that are torn, old, of another region or another writer", () => {
  const length = 4096;
  const { bytes: _, ...views } = frame(length);
  for (let revision = 1; revision < 1000; revision++) {
    fill(views, { ...ID, revision });
    assertEquals(findWrong(views, { ...ID, revision: revision + 1 }), 0);
  }
  fill(views, ID);
  assertEquals(findWrong(views, { ...ID, region: 4 }), 0);
  assertEquals(findWrong(views, { ...ID, writer: 4712 }), 0);
  fill(views, { ...ID, revision: 43 }, 0.5);
  assertEquals(findWrong(views, ID), 0);
  assertEquals(findWrong(views, { ...ID, revision: 43 }), length / 2);
});

Deno.test("fit() makes frames shorter where memory is short, unless somebody said how long they are", () => {
  const gibibyte = 2 ** 30;
  const usual = parseOptions([])!;
  assertEquals(fit(usual, 8 * gibibyte), usual);
  const short = fit(usual, gibibyte);
  assertEquals(short.byteLength % 2 ** 20, 0);
  assert(short.byteLength > 0 && short.byteLength * 8 * 3 < gibibyte);
  const mutex = parseOptions(["--mode", "mutex"])!; // has one frame of each
  assertEquals(fit(mutex, 2 * gibibyte), mutex);
  const told = parseOptions(["--size", "100MiB"])!;
  assertEquals(fit(told, 3 * gibibyte), told);
  assertThrows(() => fit(told, gibibyte), UsageError, "8 streams of 3 × 100 MiB");
  assertThrows(() => fit(usual, 2 ** 20), UsageError, "Cannot share");
});

Deno.test("missing() tells a missed wake-up from what else can be missing", () => {
  assertEquals(missing("frame", { word: 7, yielded: 7, verified: 7 }, 7), undefined);
  assertEquals(missing("frame", { word: undefined, yielded: 7, verified: 7 }, 7), undefined);
  assertMatch(
    missing("frame", { word: undefined, yielded: 6, verified: 6 }, 7) ?? "",
    /a wake-up was missed/,
  );
  assertEquals(missing("pulse", { word: 7, yielded: 7, verified: undefined }, 7), undefined);
  assertMatch(missing("frame", { word: 7, yielded: 6, verified: 6 }, 7) ?? "", /a wake-up was missed/);
  assertMatch(missing("frame", { word: 6, yielded: 6, verified: 6 }, 7) ?? "", /the word shows 6/);
  assertMatch(missing("frame", { word: 7, yielded: 7, verified: 6 }, 7) ?? "", /^Cannot verify/);
});

Deno.test("stampAfter() gives the first commit that was not seen", () => {
  const stamps = new Float64Array(stampBytes(2) / 8);
  for (let revision = 1; revision <= 100; revision++) putStamp(stamps, 1, revision, revision * 10);
  assertEquals(stampAfter(stamps, 1, 99, 100), 1000);
  assertEquals(stampAfter(stamps, 1, 97, 100), 980);
  assertEquals(stampAfter(stamps, 1, 0, 100), (100 - REMEMBERED / 2) * 10);
  assertEquals(stampAfter(stamps, 1, 100, 101), undefined);
  assertEquals(stampAfter(stamps, 0, 99, 100), undefined);
});

Deno.test("distribution() gives percentiles by the nearest rank", () => {
  const samples = Array.from({ length: 200 }, (_, index) => 200 - index);
  assertEquals(distribution(samples), { p50: 100, p99: 198, samples: 200 });
  assertEquals(distribution([5]), { p50: 5, p99: 5, samples: 1 });
  assertEquals(distribution([]), { p50: 0, p99: 0, samples: 0 });
});

Deno.test("parseSize() reads bytes and units", () => {
  assertEquals(parseSize("4096"), 4096);
  assertEquals(parseSize("100MiB"), 104857600);
  assertEquals(parseSize("1.5 gib"), 1610612736);
  assertEquals(parseSize("2MB"), 2_000_000);
  for (const text of ["", "0", "-1", "1.5", "1XiB", "MiB", "1e3", "constructor", "1 constructor"]) {
    assertThrows(() => parseSize(text), UsageError, "Cannot read the size");
  }
});

Deno.test("parseOptions() has the defaults that --help tells", () => {
  const { mode, regions, byteLength, slots, seconds, json, kill, broker } = parseOptions([])!;
  assertEquals([mode, regions, byteLength, slots, seconds, json, kill, broker], [
    "stream",
    8,
    104857600,
    3,
    5,
    false,
    undefined,
    "embedded",
  ]);
  assertEquals(parseOptions(["--help"]), undefined);
});
