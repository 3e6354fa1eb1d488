import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { TextLineStream } from "@std/streams/text-line-stream";

/** A script of the examples that runs, and what it prints. */
class Script implements AsyncDisposable {
  readonly pid: number;
  readonly #process: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;

  /** Starts a script in a runtime directory of its own, so that its name clashes with nobody's. */
  constructor(path: string, options: string[], runtime: string) {
    this.#process = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", new URL(`../../examples/${path}`, import.meta.url).href, ...options],
      env: { XDG_RUNTIME_DIR: runtime },
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.pid = this.#process.pid;
    this.#lines = this.#process.stdout
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream())
      .getReader();
  }

  /** The next line. */
  async line(): Promise<string> {
    const { value, done } = await this.#lines.read();
    if (done) throw new Error("Cannot read a line: the script has ended");
    return value;
  }

  /** Reads lines until one is as wanted, and gives it. */
  async until(pattern: RegExp): Promise<string> {
    for (;;) {
      const line = await this.line();
      if (pattern.test(line)) return line;
    }
  }

  /** All lines that are left, once the script has ended by itself and without an error. */
  async rest(): Promise<string[]> {
    const lines: string[] = [];
    for (;;) {
      const { value, done } = await this.#lines.read();
      if (done) break;
      lines.push(value);
    }
    const { code } = await this.#process.status;
    assertEquals(code, 0);
    return lines;
  }

  /** Kills the script if it runs still. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it has ended
    }
    await this.#process.status;
    await this.#lines.cancel();
  }
}

/** Runs a script with arguments. */
type Start = (path: string, ...options: string[]) => Script;

/** Defines a test of an example: `start` runs one of its scripts, which ends with the test at the latest. */
function example(name: string, test: (start: Start) => Promise<void>): void {
  Deno.test(`example ${name}`, async () => {
    await using stack = new AsyncDisposableStack();
    const runtime = await Deno.makeTempDir(); // mode 0700
    stack.defer(() => Deno.remove(runtime, { recursive: true }));
    await test((path, ...options) => stack.use(new Script(path, options, runtime)));
  });
}

for (const first of ["server.ts", "client.ts"]) {
  example(`studio: the two scripts find each other, ${first} first`, async (start) => {
    const second = first === "server.ts" ? "client.ts" : "server.ts";
    const scripts = [start(`studio/${first}`), start(`studio/${second}`)];
    const [server, client] = first === "server.ts" ? scripts : scripts.reverse();
    const lines = await client!.rest();
    await server!.rest();
    assertEquals(lines.at(-1), "the server is gone; its last frame is still here: 20");
    assertMatch(lines.at(-2) ?? "", /^revision 20: from 20 to 20$/);
    for (const line of lines.slice(0, -1)) assertMatch(line, /^revision (\d+): from \1 to \1$/);
  });
}

example("join: of two that start at once, one serves", async (start) => {
  const apps = [start("join/app.ts"), start("join/app.ts")];
  const first = await Promise.all(apps.map((app) => app.line()));
  const [server, client] = first[0] === "this process serves" ? apps : apps.toReversed();
  assertEquals(first.toSorted(), [`process ${server!.pid} serves`, "this process serves"]);
  const counts = await Promise.all([client!.rest(), server!.line()]);
  // Who ends last has seen all.
  assert(counts.flat().includes("counted to 2000"), counts.flat().join("; "));
});

example("read_only: a client is refused what it must not do, and reads", async (start) => {
  start("read_only/server.ts");
  const lines = await start("read_only/client.ts").rest();
  assertEquals(lines.length, 4);
  assertMatch(lines[0]!, /^Cannot open "temperature" for writing: /);
  for (const line of lines.slice(1)) assertMatch(line, /^revision \d+: (19|20|21)\.\d\d °C$/);
});

example("ranges: a client copies only what changed", async (start) => {
  start("ranges/server.ts");
  const lines = await start("ranges/client.ts").rest();
  assertEquals(lines.length, 4);
  const all = 4096 * 4096;
  // What is drawn during the first copy is copied once more.
  assertMatch(lines[0]!, new RegExp(`changed ${all} at 0; copied \\d+ of ${all} bytes$`));
  for (const line of lines.slice(1)) {
    const bytes = Number(/copied (\d+) of/.exec(line)?.[1]);
    assert(bytes % (4 * 4096) === 0 && bytes < all, line);
  }
});

example("resize: a client follows a region through its sizes", async (start) => {
  start("resize/server.ts");
  const lines = await start("resize/client.ts").rest();
  assertEquals(lines.length, 3);
  const generations = lines.map((line) => {
    const [, generation, width, height, bytes] =
      /^generation (\d+): (\d+) x (\d+), (\d+) bytes$/.exec(line)?.map(Number) ?? [];
    assertEquals(bytes, 8 + width! * height! * 4, line);
    return generation!;
  });
  assert(generations[0]! < generations[1]! && generations[1]! < generations[2]!, lines.join("; "));
});

example("layout: a client reads the fields that the server wrote", async (start) => {
  start("layout/server.ts");
  const lines = await start("layout/client.ts").rest();
  assertEquals(lines.length, 3);
  for (const line of lines) {
    const [, number] = /^(\d+) "take \1": 640 x 480, cursor at [\d.]+, \1 of 255$/.exec(line) ?? [];
    assertStringIncludes(line, `cursor at ${Number(number) / 2},`);
  }
});

example("restart: a client goes on with the next server", async (start) => {
  const client = start("restart/client.ts");
  for (let life = 0; life < 2; life++) {
    await using server = start("restart/server.ts");
    await client.until(new RegExp(`^process ${server.pid}: \\d+$`));
    await server[Symbol.asyncDispose](); // kill -9
    await client.until(/^the server is gone$/);
  }
});

example("follow: a server that is killed goes on where it was", async (start) => {
  const client = start("follow/client.ts");
  let last = 0;
  for (let life = 0; life < 3; life++) {
    await using server = start("follow/server.ts");
    assertEquals(await server.line(), life === 0 ? "begins anew" : "goes on with the memory of a client");
    const line = await client.until(new RegExp(`^process ${server.pid}: \\d+$`));
    const count = Number(line.split(": ")[1]);
    assert(count >= last, `from ${last} to ${count}`);
    last = count;
    await server[Symbol.asyncDispose](); // kill -9
    await client.until(/^the server is gone$/);
  }
});

example("crash: a server learns that the holder of the mutex died", async (start) => {
  const server = start("crash/server.ts");
  start("crash/client.ts");
  assertEquals(await server.rest(), ["the client died half-way: 70 + 0 is not 100"]);
});

for (const first of ["server.ts", "client.ts"]) {
  example(`stream: a slow reader sees whole frames and what it missed, ${first} first`, async (start) => {
    const second = first === "server.ts" ? "client.ts" : "server.ts";
    const scripts = [start(`stream/${first}`), start(`stream/${second}`)];
    const [server, client] = first === "server.ts" ? scripts : scripts.reverse();
    const lines = await client!.rest();
    let last: number | undefined;
    let dropped = 0;
    for (const line of lines.slice(0, -1)) {
      // `\1`: nobody wrote the frame while it was read.
      const found = /^frame (\d+), (\d+) dropped: \1 at first, \1 in the end$/.exec(line);
      assert(found !== null, line);
      const [sequence, missed] = [Number(found[1]), Number(found[2])];
      if (last !== undefined) assertEquals(sequence, last + 1 + missed);
      last = sequence;
      dropped += missed;
    }
    assertEquals(lines.at(-1), `10 frames seen, ${dropped} dropped`);
    assertEquals(lines.length, 11);
    assert(dropped > 0, "the reader is slower than the writer, so it must miss frames");
    await server!.until(/^\d+ frames, [01] reading, no slot took more than \d+\.\d{3} ms$/);
  });

  example(`commands: requests are answered, messages come, ${first} first`, async (start) => {
    const second = first === "server.ts" ? "client.ts" : "server.ts";
    const scripts = [start(`commands/${first}`), start(`commands/${second}`)];
    const [server, client] = first === "server.ts" ? scripts : scripts.reverse();
    assertEquals(await client!.rest(), [
      "the frame is full of 42",
      "the player is at 42",
      "RangeError: Cannot seek to 1000: there are 100 frames",
    ]);
    assertEquals(await server!.rest(), [
      "remote control seeks to 42",
      "remote control says bye",
      "the player ended: in order",
    ]);
  });
}

for (const first of ["server.ts", "client.ts"]) {
  example(`windows_port: two apps share eight blocks, ${first} first`, async (start) => {
    const second = first === "server.ts" ? "client.ts" : "server.ts";
    const scripts = [first, second].map((script) => start(`windows_port/${script}`, "1"));
    const [server, client] = first === "server.ts" ? scripts : scripts.reverse();
    const rounds = [1, 2, 3];
    assertEquals(await client!.rest(), rounds.map((round) => `round ${round}: 8 of 8 blocks are full`));
    assertEquals(
      await server!.rest(),
      rounds.map((round) => `round ${round}: 8 of 8 blocks of ${2 ** 20} bytes were answered`),
    );
  });
}

example("windows_port: a client dies with a mutex, and the next goes on", async (start) => {
  const server = start("windows_port/server.ts", "1");
  start("windows_port/client.ts", "--crash");
  assertEquals(await server.line(), "the client died in block 3");
  assertEquals(await server.line(), `round 1: 3 of 8 blocks of ${2 ** 20} bytes were answered`);
  assertEquals(await start("windows_port/client.ts").rest(), [
    "round 2: 8 of 8 blocks are full",
    "round 3: 8 of 8 blocks are full",
  ]);
  assertEquals((await server.rest()).length, 2);
});

for (const first of ["collector", "sensors"]) {
  example(`telemetry: a table has each reading of six sensors, ${first} first`, async (start) => {
    const names = Array.from({ length: 6 }, (_, number) => `sensor ${number}`);
    const startSensors = () => names.map((name) => start("telemetry/sensor.ts", name, "500"));
    const early = first === "sensors" ? startSensors() : [];
    const collector = start("telemetry/collector.ts");
    const viewer = start("telemetry/viewer.ts");
    const sensors = first === "sensors" ? early : startSensors();
    await Promise.all(sensors.map(async (sensor, number) => {
      assertEquals(await sensor.rest(), [`${names[number]} sent 500 readings`]);
    }));
    // What a sensor sent before it ended is in the table.
    for (const _ of names) {
      assertMatch(await collector.until(/ left /), /^sensor \d left after 500 readings$/);
    }
    const table = new Map<string, string>();
    while (names.some((name) => table.get(name) !== "500 readings from 20 to 24.5, 0 lost, offline")) {
      const [name = "", row = ""] = (await viewer.line()).split(": ");
      table.set(name, row);
    }
  });
}

example("telemetry: the row of a sensor that is killed goes offline", async (start) => {
  const collector = start("telemetry/collector.ts");
  const viewer = start("telemetry/viewer.ts");
  const [oven, door] = ["oven", "door"].map((name) => start("telemetry/sensor.ts", name));
  await viewer.until(/^oven: .* now /);
  await viewer.until(/^door: .* now /);
  await oven![Symbol.asyncDispose](); // kill -9
  await viewer.until(/^oven: .*, 0 lost, offline$/);
  await viewer.until(/^door: .*, 0 lost, now /);
  start("telemetry/sensor.ts", "oven");
  await viewer.until(/^oven: .*, 0 lost, now /);
  await collector[Symbol.asyncDispose]();
  assertEquals(await door!.rest(), ["the collector is gone"]);
  start("telemetry/collector.ts");
  start("telemetry/sensor.ts", "lamp");
  await viewer.until(/^lamp: /); // the table of the next collector
});

example("worker: a worker waits with waitSync()", async (start) => {
  assertEquals(await start("worker/main.ts").rest(), [
    "the sum of 1024 times 1 is 1024",
    "the sum of 1024 times 2 is 2048",
    "the sum of 1024 times 3 is 3072",
  ]);
});

example("xpc: a listener answers a request", async (start) => {
  assertEquals(await start("xpc/main.ts").rest(), [
    "a connection from this process: true",
    "shared memory true",
  ]);
});
