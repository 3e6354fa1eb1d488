/**
 * `ReadOnlyView` against the language: no member that type-checks may write. The first two tests compile code that
 * they make of `_view_members.ts`; the third runs it on memory that the kernel keeps read-only.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { readsOf, VIEW_CLASSES, type ViewClass, writesOf } from "./_view_members.ts";

const memory = new URL("../../src/memory/mod.ts", import.meta.url).href;
const config = new URL("../../deno.json", import.meta.url).pathname;

/** Runs Deno on code, and says how it ended. */
async function deno(args: string[], code: string): Promise<Deno.CommandStatus & { output: string }> {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/made.ts`;
    await Deno.writeTextFile(path, code);
    const [command = "", ...flags] = args;
    const { success, code: exit, signal, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [command, "--quiet", "--config", config, ...flags, path],
      env: { NO_COLOR: "1" },
    }).output();
    const decoder = new TextDecoder();
    return { success, code: exit, signal, output: decoder.decode(stdout) + decoder.decode(stderr) };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A member's key as a type. */
function keyType(member: string): string {
  if (member === "number") return member;
  return member.startsWith("[") ? `typeof ${member.slice(1, -1)}` : JSON.stringify(member);
}

const HEADER = `
import { Mapping, type ReadOnlyView } from ${JSON.stringify(memory)};
function sink(..._values: unknown[]): void {}
`;

/** Code in which `view` has a type; each class in a function of its own. */
function functions(type: (name: string) => string, body: (of: ViewClass) => string[]): string {
  return VIEW_CLASSES.map((of) =>
    `export function use${of.name}(view: ${type(of.name)}): void {\n${body(of).join("\n")}\n}\n`
  ).join("\n");
}

Deno.test("ReadOnlyView has the members of each view class that read, and no others", async () => {
  const code = VIEW_CLASSES.map(({ name, kept, replaced, removed }) => {
    const left = [...kept.keys(), ...replaced.keys(), ...(removed.has("number") ? ["number"] : [])];
    const union = (members: Iterable<string>): string => [...members].map(keyType).join(" | ") || "never";
    return `
type Left${name} = ${union(left)};
type All${name} = Left${name} | ${union(removed.keys())};
export const unknown${name}: Same<keyof ${name}, All${name}> = true; // a member that nobody listed
export const left${name}: Same<keyof ReadOnlyView<${name}>, Left${name}> = true;
export const kept${name}: Same<Pick<ReadOnlyView<${name}>, ${union(kept.keys())}>, Pick<${name}, ${
      union(kept.keys())
    }>> = true;
`;
  });
  const same = "type Same<A, B> = [A] extends [B] ? [B] extends [A] ? true : [A, B] : [A, B];\n";
  const { output, success } = await deno(["check"], `${HEADER}${same}${code.join("")}void Mapping; sink();`);
  assert(success, output);
});

Deno.test("ReadOnlyView refuses whatever a view class accepts that writes", async () => {
  const writes = functions((name) => name, writesOf);
  const accepted = await deno(["check"], `${HEADER}${writes}void Mapping; sink();`);
  assert(accepted.success, `these do not even write to the class itself:\n${accepted.output}`);
  const refused = functions(
    (name) => `ReadOnlyView<${name}>`,
    (of) => writesOf(of).map((write) => `// @ts-expect-error -- it writes\n${write}`),
  );
  const result = await deno(["check"], `${HEADER}${refused}void Mapping; sink();`);
  assert(result.success, result.output);
});

Deno.test("ReadOnlyView does not pass for what a function may write to", async () => {
  const targets = (name: string): string[] => [name, "ArrayBufferView", "BufferSource", "ArrayBuffer"];
  const code = functions(
    (name) => `ReadOnlyView<${name}>`,
    ({ name }) =>
      targets(name).map((target) =>
        `// @ts-expect-error -- it may be written\n((_target: ${target}) => {})(view);`
      ),
  );
  const elements = functions((name) => `ReadOnlyView<${name}>`, ({ name }) =>
    name === "DataView" ? [] : [
      `new ${name}(view).fill(view[0]!);`,
      `new ${name}(4).set(view);`,
      `${name}.from(view).fill(view[0]!);`,
      `sink(Array.from(view), [...view], Math.max(...[...view].map(Number)));`,
    ]);
  const { output, success } = await deno(
    ["check"],
    `${HEADER}${code}${elements.replaceAll("use", "copy")}
void Mapping; sink();`,
  );
  assert(success, output);
});

/** Opens memory read-only, calls `use`, and compares what is left with what was there. */
const CHILD = `
using made = await Mapping.create(4096, { readOnlyForOthers: true });
const content = made.view(Uint8Array);
content.forEach((_value, index) => content[index] = index % 64);
const before = content.slice();
using shared = made.share();
using mapping = Mapping.open(shared, 4096);
if (mapping.writable) throw new Error("the memory is not read-only");
`;

Deno.test("every method that ReadOnlyView leaves runs on read-only memory, and the process lives", async () => {
  const calls = VIEW_CLASSES.map(({ name, kept, replaced, removed }) => {
    const listed = [...kept.keys(), ...replaced.keys(), ...removed.keys()];
    return `
{
  const listed = ${JSON.stringify(listed)};
  let prototype = ${name}.prototype;
  for (; prototype !== Object.prototype; prototype = Object.getPrototypeOf(prototype)) {
    for (const key of Reflect.ownKeys(prototype)) {
      const member = typeof key === "symbol" ? \`[\${key.description}]\` : key;
      if (member !== "constructor" && !listed.includes(member)) console.log("not listed: ${name}", member);
    }
  }
  use${name}(mapping.view(${name}, 64, 16) as unknown as ReadOnlyView<${name}>);
}`;
  });
  const code = `${HEADER}${functions((name) => `ReadOnlyView<${name}>`, readsOf)}${CHILD}${calls.join("")}
if (content.some((value, index) => value !== before[index])) console.log("the memory changed");
console.log("alive");
`;
  const { output, signal } = await deno(["run", "-A", "--check"], code);
  assertEquals([output, signal], ["alive\n", null]);
});

Deno.test("a write through a cast ends the process: the memory of these tests is read-only", async () => {
  const code = `${HEADER}${CHILD}
console.log(mapping.view(Uint8Array)[1]);
mapping.view(Uint8Array).setFromHex("ff");
console.log("alive", before.length);
`;
  const { output, success, signal } = await deno(
    ["run", "-A", "--check"],
    `${code}sink();
export type { ReadOnlyView };`,
  );
  assertStringIncludes(output, "1\n");
  assert(!output.includes("alive"));
  assertEquals([success, signal], [false, Deno.build.os === "darwin" ? "SIGBUS" : "SIGSEGV"]);
});
