/**
 * The end of a mapping whose memory somebody else still sees: a buffer that its user transferred, an asynchronous
 * operation that is under way, a mapping that nobody closed.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { MAX_RETIRED_RANGES } from "../../src/memory/retired.ts";
import { Mapping } from "../../src/memory/mod.ts";

const isLinux = Deno.build.os === "linux"; // what these tests count is in /proc

/** How many mappings this process has of memory that it may share. */
function mapped(): number {
  return Deno.readTextFileSync("/proc/self/maps").split("\n").filter((line) => line.includes("memfd:"))
    .length;
}

/** How much address space this process has, in bytes. */
function addressSpace(): number {
  const [pages = "0"] = Deno.readTextFileSync("/proc/self/statm").split(" ");
  return Number(pages) * 4096;
}

/** A worker that keeps the view it gets; answers `{ at, value }` with what was there, and stores the value. */
function keeper(): { ask(message: unknown, transfer?: Transferable[]): Promise<unknown>; end(): void } {
  const code = `let view;
    onmessage = ({ data }) => {
      if (ArrayBuffer.isView(data)) return view = data, postMessage(view.length);
      const before = view[data.at];
      view[data.at] = data.value;
      postMessage(before);
    };`;
  const worker = new Worker(`data:text/javascript,${encodeURIComponent(code)}`, { type: "module" });
  return {
    ask(message, transfer = []) {
      const { promise, resolve } = Promise.withResolvers<unknown>();
      worker.onmessage = ({ data }) => resolve(data);
      worker.postMessage(message, transfer);
      return promise;
    },
    end: () => worker.terminate(),
  };
}

Deno.test("close() finishes after a view was transferred to a worker, which still sees the memory", async () => {
  const mapping = await Mapping.create(8192, { name: "scene" });
  using shared = mapping.share();
  using other = Mapping.open(shared, 8192);
  const view = mapping.view(Uint8Array);
  view[5000] = 1;
  const worker = keeper();
  try {
    assertEquals(await worker.ask(view, [view.buffer]), 8192);
    mapping.close();
    mapping.close();
    assert(mapping.closed);
    assertThrows(() => mapping.view(Uint8Array), TypeError, 'Cannot view the region "scene": it is closed');
    assertEquals(await worker.ask({ at: 5000, value: 2 }), 1);
    assertEquals(other.view(Uint8Array)[5000], 2);
  } finally {
    worker.end();
  }
});

Deno.test("close() finishes after a buffer was transferred within the realm, in every way", async () => {
  const ways: Record<string, (buffer: ArrayBuffer) => ArrayBuffer> = {
    transfer: (buffer) => buffer.transfer(),
    transferToFixedLength: (buffer) => buffer.transferToFixedLength(),
    structuredClone: (buffer) => structuredClone(buffer, { transfer: [buffer] }),
    twice: (buffer) => buffer.transfer().transfer(),
  };
  for (const [way, transfer] of Object.entries(ways)) {
    const mapping = await Mapping.create(4096);
    const view = mapping.view(Uint8Array);
    view[1] = 1;
    const alias = new Uint8Array(transfer(view.buffer as ArrayBuffer));
    assertEquals([view.length, alias[1]], [0, 1], way);
    mapping.close();
    alias[1] = 2;
    assertEquals([mapping.closed, alias[1]], [true, 2], way);
  }
});

Deno.test("close() finishes after a buffer was transferred to nothing", async () => {
  const mapping = await Mapping.create(4096);
  mapping.view(Uint8Array).buffer.transfer(0);
  mapping.close();
  assert(mapping.closed);
});

Deno.test("view() goes on making views after one was transferred, and close() detaches those", async () => {
  const mapping = await Mapping.create(4096);
  const first = mapping.view(Uint8Array);
  const alias = new Uint8Array((first.buffer as ArrayBuffer).transfer());
  const second = mapping.view(Uint8Array);
  second[0] = 9;
  assertEquals([first.length, alias[0], second.length], [0, 9, 4096]);
  mapping.close();
  assertEquals([second.length, alias[0]], [0, 9]);
});

Deno.test("close() ends a view that an asynchronous operation uses, and the operation hits no other memory", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [reader, writer] = await Promise.all([
    Deno.connect({ hostname: "127.0.0.1", port: (listener.addr as Deno.NetAddr).port }),
    listener.accept(),
  ]);
  try {
    const mapping = await Mapping.create(2 ** 20);
    const view = mapping.view(Uint8Array);
    const reading = reader.read(view); // waits for bytes
    mapping.close();
    assertEquals(view.length, 0);
    // The kernel gives a new mapping the address that was freed last.
    using next = await Mapping.create(2 ** 20);
    await writer.write(new Uint8Array(1000).fill(7));
    assertEquals(await reading, 1000);
    assertEquals(next.view(Uint8Array).every((value) => value === 0), true);
  } finally {
    reader.close();
    writer.close();
  }
});

Deno.test({
  name: "close() gives the memory back at once, and keeps a bounded part of the address space",
  ignore: !isLinux,
  async fn() {
    const byteLength = 2 ** 20;
    const round = async (): Promise<void> => {
      using mapping = await Mapping.create(byteLength, { readOnlyForOthers: true });
      mapping.view(Uint8Array)[0] = 1;
    };
    const before = { mapped: mapped(), space: addressSpace() };
    for (let count = 0; count < MAX_RETIRED_RANGES + 1000; count++) await round();
    assertEquals(mapped(), before.mapped);
    const slack = 512 * 2 ** 20; // V8 reserves some, too
    assert(addressSpace() - before.space < MAX_RETIRED_RANGES * byteLength + slack);
  },
});

/** Runs code that can collect garbage, in a process of its own: it may crash. */
async function collecting(code: string): Promise<{ code: number; output: string }> {
  const memory = new URL("../../src/memory/mod.ts", import.meta.url).href;
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "-A", "--v8-flags=--expose-gc", "-"],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(`
import { Mapping } from ${JSON.stringify(memory)};
${mapped}
/** Collects garbage until what the garbage held is gone. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) {
    (globalThis as unknown as { gc(): void }).gc();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
const before = mapped();
${code}
`));
  await writer.close();
  const { code: exit, stdout } = await process.output();
  return { code: exit, output: new TextDecoder().decode(stdout) };
}

Deno.test({
  name: "a mapping that nobody closed gives its memory back once no view reaches it",
  ignore: !isLinux,
  async fn() {
    const { code, output } = await collecting(`
async function make(viewed: boolean): Promise<Uint8Array | undefined> {
  const mapping = await Mapping.create(4096);
  return viewed ? mapping.view(Uint8Array).fill(1) : undefined;
}
await make(false);
await until(() => mapped() === before);
let view = await make(true);
const held = [await make(true)];
for (let round = 0; round < 20; round++) (globalThis as unknown as { gc(): void }).gc();
await new Promise((resolve) => setTimeout(resolve, 1));
console.log(view![0], mapped() - before);
view = undefined;
await until(() => mapped() === before + 1);
console.log(held[0]![4095]);
`);
    assertEquals([code, output], [0, "1 2\n1\n"]);
  },
});

Deno.test({
  name: "a view whose buffer was transferred outlives a mapping that nobody closed",
  ignore: !isLinux,
  async fn() {
    const { code, output } = await collecting(`
async function make(): Promise<Uint8Array> {
  const mapping = await Mapping.create(4096);
  return new Uint8Array((mapping.view(Uint8Array).buffer as ArrayBuffer).transfer());
}
const alias = await make();
await until(() => mapped() === before);
alias[4095]! += 1;
console.log(alias.length, alias[4095]);
`);
    assertEquals([code, output], [0, "4096 1\n"]);
  },
});
