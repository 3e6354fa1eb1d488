/**
 * Ordinary functions on memory that the kernel keeps read-only: those that take a view and only read it work, and
 * copies of a view are memory of their own. In a process of its own, since a function that writes would end it.
 *
 * @module
 */
import { assertEquals } from "@std/assert";

const memory = new URL("../../src/memory/mod.ts", import.meta.url).href;

/** Each prints what it is called and what it made of 64 bytes of "A". */
const FUNCTIONS: Readonly<Record<string, [code: string, expected: string]>> = {
  "crypto.subtle.digest": [
    `new Uint8Array(await crypto.subtle.digest("SHA-256", view(Uint8Array))).toHex().slice(0, 8)`,
    "d53eda7a",
  ],
  "crypto.subtle.importKey and sign": [
    `await crypto.subtle.importKey("raw", view(Uint8Array), { name: "HMAC", hash: "SHA-256" }, false, ["sign"])
      .then((key) => crypto.subtle.sign("HMAC", key, view(Uint8Array))).then(({ byteLength }) => byteLength)`,
    "32",
  ],
  "Deno.writeFile": [
    `await Deno.writeFile(path, view(Uint8Array)).then(() => Deno.statSync(path).size)`,
    "64",
  ],
  "Deno.writeFileSync": [`(Deno.writeFileSync(path, view(Uint8Array)), Deno.statSync(path).size)`, "64"],
  "FsFile.write": [`await file.write(view(Uint8Array))`, "64"],
  "FsFile.writeSync": [`file.writeSync(view(Uint8Array))`, "64"],
  TextDecoder: [`new TextDecoder().decode(view(Uint8Array, 0, 3))`, "AAA"],
  "TextDecoder with DataView": [`new TextDecoder().decode(view(DataView, 0, 3))`, "AAA"],
  "TextDecoder as a stream": [`new TextDecoder().decode(view(Uint8Array, 0, 3), { stream: true })`, "AAA"],
  "Atomics.load of 32 bits": [`Atomics.load(view(Int32Array), 1)`, String(0x41414141)],
  "Atomics.load of 64 bits": [`Atomics.load(view(BigUint64Array), 1)`, String(0x4141414141414141n)],
  ImageData: [`new ImageData(view(Uint8ClampedArray), 4, 4).data[63]`, "65"],
  createImageBitmap: [`(await createImageBitmap(new ImageData(view(Uint8ClampedArray), 4, 4))).width`, "4"],
  Blob: [`await new Blob([view(Uint8Array, 0, 3)]).text()`, "AAA"],
  Response: [`await new Response(view(Uint8Array, 0, 3)).text()`, "AAA"],
  structuredClone: [`structuredClone(view(Uint8Array, 0, 3)).fill(66).join()`, "66,66,66"],
  CompressionStream: [
    `await new Response(new Blob([view(Uint8Array)]).stream().pipeThrough(new CompressionStream("gzip"))
      .pipeThrough(new DecompressionStream("gzip"))).text().then(({ length }) => length)`,
    "64",
  ],
  "MessagePort.postMessage": [
    `await new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel();
      port2.onmessage = ({ data }) => (port2.close(), resolve(data.fill(66).join()));
      port1.postMessage(view(Uint8Array, 0, 2));
    })`,
    "66,66",
  ],
  "node:crypto createHash": [
    `(await import("node:crypto")).createHash("sha256").update(view(Uint8Array)).digest("hex").slice(0, 8)`,
    "d53eda7a",
  ],
  "node:zlib crc32": [`(await import("node:zlib")).crc32(view(Uint8Array))`, "1095524924"],
  "Uint8Array.set into an array that is used again": [
    `(target.set(view(Uint8Array)), target.fill(66)[63])`,
    "66",
  ],
  "slice into a new array": [`view(Uint8Array, 0, 2).slice().fill(66).join()`, "66,66"],
};

/** Where the machine has an adapter: a real one, or one in software. */
const GPU = `
const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
if (adapter) {
  const device = await adapter.requestDevice();
  const buffer = device.createBuffer({ size: 64, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC });
  device.queue.writeBuffer(buffer, 0, view(Uint8Array));
  const copy = device.createBuffer({ size: 64, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, copy, 0, 64);
  device.queue.submit([encoder.finish()]);
  await copy.mapAsync(GPUMapMode.READ);
  const bytes = new Uint8Array(copy.getMappedRange());
  if (!bytes.every((byte) => byte === 65)) console.log("GPUQueue.writeBuffer wrote something else");
  device.destroy();
}
`;

/** Runs code in which \`view\` makes views of read-only memory, and returns what it prints. */
async function run(code: string): Promise<{ output: string; code: number; signal: Deno.Signal | null }> {
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "-A", "-"],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(`
import { Mapping } from ${JSON.stringify(memory)};
using made = await Mapping.create(64, { readOnlyForOthers: true });
made.view(Uint8Array).fill(65);
using shared = made.share();
using mapping = Mapping.open(shared, 64);
if (mapping.writable) throw new Error("the memory is not read-only");
const view = (Type, byteOffset, length) => mapping.view(Type, byteOffset, length);
const target = new Uint8Array(64);
const path = await Deno.makeTempFile();
const file = await Deno.open(path, { write: true });
${code}
file.close();
await Deno.remove(path);
console.log("alive", made.view(Uint8Array).every((byte) => byte === 65));
`));
  await writer.close();
  const { code: exit, signal, stdout } = await process.output();
  return { output: new TextDecoder().decode(stdout), code: exit, signal };
}

Deno.test("functions that only read take a view of read-only memory, and copies of it may be written", async () => {
  const entries = Object.entries(FUNCTIONS);
  const calls = entries.map(([name, [code]]) =>
    `console.log(${JSON.stringify(name)}, "is", String(${code}));`
  );
  const expected = entries.map(([name, [, value]]) => `${name} is ${value}\n`);
  assertEquals(await run(`${calls.join("\n")}\n${GPU}`), {
    output: `${expected.join("")}alive true\n`,
    code: 0,
    signal: null,
  });
});
