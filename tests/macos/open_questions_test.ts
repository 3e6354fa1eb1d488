/**
 * What nobody could find out without a Mac. The answers are recorded, not asserted: the library depends on
 * none of them. `XPC_SHMEM_ANSWERS` names a folder for them, and makes other systems answer too.
 *
 * @module
 */
import { load } from "../../ffi/load.ts";
import { type Answer, askDroppedMessage, askLargeMappings } from "./_questions.ts";

await load();

const folder = Deno.env.get("XPC_SHMEM_ANSWERS");
const isAsked = Deno.build.os === "darwin" || folder !== undefined;

for (const ask of [askDroppedMessage, askLargeMappings]) {
  Deno.test({
    name: `open question: ${ask.name} is recorded`,
    ignore: !isAsked,
    fn: async () => await record(ask.name, await ask()),
  });
}

/** Prints an answer, and puts it where the workflow keeps it. */
async function record(name: string, { question, seen }: Answer): Promise<void> {
  const system = `${Deno.build.os} ${Deno.osRelease()}, ${Deno.build.arch}`;
  const lines = Object.entries(seen).map(([when, what]) => `- ${when}: ${what}`);
  const text = [`### ${question}`, system, "", ...lines, "", ""].join("\n");
  await Deno.stdout.write(new TextEncoder().encode(text));
  if (folder !== undefined) {
    await Deno.mkdir(folder, { recursive: true });
    const json = JSON.stringify({ question, system, seen }, undefined, 2);
    await Deno.writeTextFile(`${folder}/${name}.json`, `${json}\n`);
  }
  const summary = Deno.env.get("GITHUB_STEP_SUMMARY");
  if (summary !== undefined) await Deno.writeTextFile(summary, text, { append: true });
}
