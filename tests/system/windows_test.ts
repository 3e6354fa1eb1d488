/**
 * Each row of the README's table of Windows calls, across processes: where each is tested, and what is not tested elsewhere.
 */
import { assert, assertEquals } from "@std/assert";
import { load } from "../../ffi/load.ts";
import { App, brokerName, uniqueName } from "../support/process.ts";

await load(); // before the tests: the library stays open, which the resource sanitizer would take for a leak

const ROOT = new URL("../../", import.meta.url);

/** For each row, by its Windows side: the files of tests, and a part of a test's name in each. */
const PROOFS: Readonly<Record<string, readonly (readonly [file: string, test: string])[]>> = {
  "`CreateFileMapping`": [
    ["examples_test.ts", "windows_port: two apps share eight blocks"],
    ["service_test.ts", "opening eight regions of 100 MiB copies nothing"],
    ["service_test.ts", "a region that clients may only read is protected by the kernel"],
  ],
  "`OpenFileMapping`": [
    ["service_test.ts", "connect() finds a server that was started before"],
    ["service_test.ts", "connect() waits for a server that is started after"],
    ["following_test.ts", "connect() that does not wait throws at once, and says what is registered"],
    ["following_test.ts", "connect() that does not wait takes a dead server's registration for nothing"],
  ],
  "a mapping lives while anyone has a handle": [
    ["service_test.ts", "a killed server leaves the client what it mapped, an error, and the next server"],
    ["adopt_test.ts", "a server that was killed goes on with the memory of its clients, in rounds"],
    ["take_over_test.ts", "of three peers one takes over when the server is killed, in rounds"],
  ],
  "`MapViewOfFile`": [
    ["windows_test.ts", "a view of a part shows the bytes that another process wrote there"],
  ],
  "`UnmapViewOfFile`, `CloseHandle`": [
    ["windows_test.ts", "a region that one process closes is detached there, and stays in the others"],
    ["service_test.ts", "a killed client leaves the server as it was"],
  ],
  "`CreateMutex`, `WaitForSingleObject`, `WAIT_ABANDONED`": [
    ["windows_test.ts", "8 processes count by ${by}, and holders are killed: no turn is lost"],
    ["waits_test.ts", "a lock that times out says who holds the mutex"],
  ],
  "`ReleaseMutex`": [
    ["locks_test.ts", "excludes, times out, and is passed on between server and clients"],
    ["locks_test.ts", "a client and a lock that close give back what they hold, and nothing is abandoned"],
  ],
  "`SetEvent`, `WaitForSingleObject`": [
    ["examples_test.ts", "studio: the two scripts find each other"],
    ["ranges_test.ts", "a reader's copy follows ${COMMITS} commits"],
    [
      "windows_test.ts",
      "a commit wakes 7 processes that wait, and goes past one that is killed while it waits",
    ],
  ],
  "`WM_COPYDATA`, a named pipe beside the mapping": [
    ["messages_test.ts", "eight clients: each gets its own messages, in order, and answers"],
    ["messages_test.ts", "a client that is killed fails the requests to it, and the server serves on"],
    ["channels_test.ts", "a client that is killed while it sends leaves whole messages only"],
    ["examples_test.ts", "telemetry: a table has each reading of six sensors"],
  ],
  "looking for a mapping by its name": [
    ["who_test.ts", "list() and exists() tell who serves what, also right after a death"],
    ["who_test.ts", "watch() says nothing of a service that outlives its broker"],
  ],
  "`CreateMutex`, apart from any memory": [
    ["windows_test.ts", "8 processes count by ${by}, and holders are killed: no turn is lost"],
    ["locks_test.ts", "what a client held that was killed is released"],
  ],
  "`CreateSemaphore`, `ReleaseSemaphore`": [
    ["windows_test.ts", "8 processes crowd a semaphore of 3, and one of those inside is killed"],
    ["windows_test.ts", "8 processes count by ${by}, and holders are killed: no turn is lost"],
  ],
  "`CreateEvent`, `SetEvent`, `ResetEvent`": [
    [
      "windows_test.ts",
      "a manual event lets 8 processes through; an auto event one each time, and no dead one",
    ],
    ["locks_test.ts", "manual lets all through until it is reset, auto one each time"],
    ["locks_test.ts", "8 processes count under each lock"],
  ],
  "`SRWLOCK`, which is for one process": [
    ["windows_test.ts", "4 processes read while 4 write and writers are killed: no reader sees half a turn"],
    ["locks_test.ts", "a reader lets readers in, and a writer that waits keeps them out"],
  ],
  "`WaitForMultipleObjects`": [
    ["windows_test.ts", "8 processes count by ${by}, and holders are killed: no turn is lost"],
    ["locks_test.ts", "the first that is ready, of every kind, and no other is taken"],
    ["locks_test.ts", "ends when a holder is killed, and when the server is"],
  ],
  "several mappings by turns, so that nobody waits": [
    ["streams_test.ts", "frames between processes are whole, and each is read or counted as dropped"],
    ["streams_test.ts", "the frames of a reader that is killed are free again"],
    ["cadence_test.ts", "a writer of 60 frames a second never waits for a reader that is slow"],
  ],
};

/** The cells of a table of a Markdown text, without its header: that whose first header is as wanted. */
function tableOf(text: string, header: string): string[][] {
  const lines = text.split("\n").map((line) => line.replace(/^ \* /, ""));
  const first = lines.findIndex((line) => line.toLowerCase().startsWith(`| ${header} `));
  assert(first >= 0, `there is a table that begins with "${header}"`);
  const rows: string[][] = [];
  for (let index = first + 2; lines[index]?.startsWith("|"); index++) {
    rows.push(lines[index]!.split("|").slice(1, -1).map((cell) => cell.trim()));
  }
  return rows;
}

Deno.test("each row of the README's table of Windows calls is tested, by tests that there are", async () => {
  const rows = tableOf(await Deno.readTextFile(new URL("README.md", ROOT)), "on windows");
  assertEquals(rows.map(([windows]) => windows!).toSorted(), Object.keys(PROOFS).toSorted());
  for (const [row, proofs] of Object.entries(PROOFS)) {
    assert(proofs.length > 0, row);
    for (const [file, test] of proofs) {
      const text = await Deno.readTextFile(new URL(file, import.meta.url));
      const names = [...text.matchAll(/(?:Deno\.test|example)\((?:\{\s*name:)?\s*(["`])(.*?)\1,/g)].map((
        [, , name],
      ) => name!);
      assert(
        test !== "" && names.some((name) => name.includes(test)),
        `${row}: ${file} has no test "${test}"`,
      );
    }
  }
});

Deno.test("the table of Windows calls in mod.ts has the rows of the README's", async () => {
  const readme = tableOf(await Deno.readTextFile(new URL("README.md", ROOT)), "on windows");
  const module = tableOf(await Deno.readTextFile(new URL("mod.ts", ROOT)), "on windows");
  assertEquals(module.map(([windows]) => windows), readme.map(([windows]) => windows));
  for (const [index, [windows, here]] of module.entries()) {
    assertEquals(functionsOf(here!), functionsOf(readme[index]![1]!), windows);
  }
});

/** The functions and properties that a cell names, whether as links of the documentation or as code. */
function functionsOf(cell: string): string[] {
  return [...cell.matchAll(/[.\s`]([a-zA-Z]+)(?=[(}`])/g)].map(([, name]) => name!);
}

/** What `windows_app.ts` saw. */
interface Seen {
  readonly abandoned: number;
  readonly mended: number;
  readonly untold: number;
}

/** A server and clients that do what they are told. */
class Cast implements AsyncDisposable {
  readonly #apps = new AsyncDisposableStack();
  readonly #common = { name: uniqueName("windows"), broker: brokerName() };

  async server(script = "windows_app.ts", more: Record<string, unknown> = {}): Promise<App> {
    const app = this.#apps.use(new App(script));
    await app.call("serve", { ...this.#common, ...more });
    return app;
  }

  async clients(count: number, script = "windows_app.ts"): Promise<App[]> {
    return await Promise.all(Array.from({ length: count }, async () => {
      const app = this.#apps.use(new App(script));
      await app.call("connect", this.#common);
      return app;
    }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#apps.disposeAsync();
  }
}

/** Each of the holders takes the lock in turn, leaves half of a turn, and is killed. */
async function killHolders(holders: readonly App[], by: string): Promise<Seen[]> {
  const seen: Seen[] = [];
  for (const holder of holders) {
    seen.push(await holder.call<Seen>("hold", { by }));
    await holder.kill();
  }
  return seen;
}

function total(seen: readonly Seen[]): Seen {
  return seen.reduce((sum, { abandoned, mended, untold }) => ({
    abandoned: sum.abandoned + abandoned,
    mended: sum.mended + mended,
    untold: sum.untold + untold,
  }));
}

const HOLDERS = 2;
const TURNS = 100;

for (const by of ["region", "device", "catalog", "one", "waitAny"]) {
  Deno.test(`8 processes count by ${by}, and holders are killed: no turn is lost`, async () => {
    await using cast = new Cast();
    const server = await cast.server();
    const apps = [server, ...await cast.clients(7)];
    const holders = await cast.clients(HOLDERS);
    const counting = apps.map((app, index) => {
      // The server does not block: its event loop notices the deaths.
      return app.call<Seen>("count", {
        by,
        turns: TURNS,
        place: index + 1,
        sync: app !== server && index % 2 === 0,
      });
    });
    const seen = [...await killHolders(holders, by), ...await Promise.all(counting)];
    seen.push(await server.call<Seen>("count", { by, turns: 1, place: 9 })); // where the holders came last
    const told = by !== "one"; // a semaphore has no owner, so it does not tell
    assertEquals(total(seen), {
      abandoned: told ? HOLDERS : 0,
      mended: HOLDERS,
      untold: told ? 0 : HOLDERS,
    });
    const places = Array.from({ length: 15 }, (_, place) => place < 8 ? TURNS : place === 8 ? 1 : 0);
    assertEquals(await server.call("counts"), [8 * TURNS + 1, ...places]);
  });
}

Deno.test("4 processes read while 4 write and writers are killed: no reader sees half a turn", async () => {
  await using cast = new Cast();
  const server = await cast.server();
  const apps = [server, ...await cast.clients(7)];
  const holders = await cast.clients(HOLDERS);
  const by = "catalog";
  const writing = apps.slice(0, 4).map((app, index) => {
    return app.call<Seen>("count", { by, turns: TURNS, place: index + 1, sync: index % 2 === 1 });
  });
  const reading = apps.slice(4).map((app, index) => {
    return app.call<Seen>("read", { turns: TURNS, sync: index % 2 === 1 });
  });
  const written = [...await killHolders(holders, by), ...await Promise.all(writing)];
  written.push(await server.call<Seen>("count", { by, turns: 1, place: 9 }));
  assertEquals(total(written), { abandoned: HOLDERS, mended: HOLDERS, untold: 0 });
  // Readers are told of a dead writer too, until a writer has mended what it left.
  const read = total(await Promise.all(reading));
  assertEquals([read.untold, read.mended], [0, read.abandoned]);
  assertEquals((await server.call<number[]>("counts"))[0], 4 * TURNS + 1);
});

Deno.test("8 processes crowd a semaphore of 3, and one of those inside is killed", async () => {
  await using cast = new Cast();
  const server = await cast.server();
  const apps = [server, ...await cast.clients(7)];
  const [inside] = await cast.clients(1);
  await inside!.call("enter");
  assertEquals(await server.call("crowded"), { words: [0, 0], available: 2 });
  const crowding = apps.map((app, index) => {
    return app.call<number>("crowd", { turns: TURNS, sync: app !== server && index % 2 === 0 });
  });
  await inside!.kill();
  const most = Math.max(...await Promise.all(crowding));
  assert(most <= 3, `${most} were inside`);
  assertEquals(await server.call("crowded"), { words: [0, 8 * TURNS], available: 3 });
});

Deno.test("a manual event lets 8 processes through; an auto event one each time, and no dead one", async () => {
  await using cast = new Cast();
  const locks = { ready: { event: "manual" }, tick: { event: "auto" } };
  const server = await cast.server("locks_app.ts", { locks });
  const apps = await cast.clients(8, "locks_app.ts");
  for (const app of apps) for (const lock of ["ready", "tick"]) await app.call("open", { lock });
  const ready = apps.map((app, index) => app.call("take", { lock: "ready", sync: index % 2 === 0 }));
  await server.call("set", { lock: "ready" });
  await Promise.all(ready);

  const dying = apps[0]!.call("take", { lock: "tick" });
  dying.catch(() => {}); // it is killed
  await apps[0]!.kill();
  const passed: number[] = [];
  const ticks = apps.slice(1).map((app, index) => {
    return app.call("take", { lock: "tick", sync: index % 2 === 0 }).then(() => passed.push(index));
  });
  for (let count = 1; count <= 7; count++) {
    await server.call("set", { lock: "tick" });
    while (passed.length < count) await Promise.race(ticks.filter((_, index) => !passed.includes(index)));
    assertEquals([passed.length, await server.call("tryTake", { lock: "tick" })], [count, false]);
  }
  await Promise.all(ticks);
});

Deno.test("a commit wakes 7 processes that wait, and goes past one that is killed while it waits", async () => {
  await using cast = new Cast();
  const server = await cast.server("app.ts", { regions: { frame: { byteLength: 4096 } } });
  const apps = await cast.clients(8, "app.ts");
  for (const app of apps) await app.call("open", { region: "frame" });
  const dying = apps[0]!.call("change", { region: "frame" });
  dying.catch(() => {}); // it is killed
  const waiting = apps.slice(1).map((app, index) => {
    return index % 2 === 0
      ? app.call<{ revision: number }>("change", { region: "frame" }).then(({ revision }) => revision)
      : app.call<number>("waitSync", { region: "frame", after: 0 });
  });
  await apps[0]!.kill();
  assertEquals(await server.call("commit", { region: "frame" }), 1);
  assertEquals(await Promise.all(waiting), waiting.map(() => 1));
});

Deno.test("a view of a part shows the bytes that another process wrote there", async () => {
  await using cast = new Cast();
  const server = await cast.server();
  const [writer, reader] = await cast.clients(2);
  await writer!.call("writePart", { byteOffset: 1024, length: 2, value: 1.5 });
  const bytes = [...new Uint8Array(new Float32Array([0, 1.5, 1.5, 0]).buffer)];
  for (const app of [server, reader!]) {
    assertEquals(await app.call("part", { byteOffset: 1020, length: 16 }), bytes);
  }
});

Deno.test("a region that one process closes is detached there, and stays in the others", async () => {
  await using cast = new Cast();
  const server = await cast.server();
  const [leaving, staying] = await cast.clients(2);
  await leaving!.call("writePart", { byteOffset: 0, length: 1, value: 1 });
  assertEquals(await leaving!.call("unmap"), 0);
  for (const app of [server, staying!]) {
    assertEquals(await app.call("part", { byteOffset: 0, length: 4 }), [0, 0, 0x80, 0x3f]);
  }
  await staying!.call("writePart", { byteOffset: 0, length: 1, value: 0 });
  assertEquals(await server.call("part", { byteOffset: 0, length: 4 }), [0, 0, 0, 0]);
});
