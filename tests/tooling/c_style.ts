/**
 * Checks the C sources beyond the compiler: layout by clang-format, mistakes by clang-tidy (their rules are in
 * `.clang-format` and `.clang-tidy`), and how pointers are tested. Where a tool is not installed, its part is
 * skipped, and the output says so.
 *
 * @module
 */

const ROOT = decodeURIComponent(new URL("../..", import.meta.url).pathname);

/** Folders of C sources. Those for macOS only are compiled by `deno task build`. */
const FOLDERS = ["ffi/native", "tests/native"];

/** Not in the style: a header of macros in which clang-format takes a product, `(index) * SIZE`, for a cast. */
const EXCEPTIONS = /^ffi\/native\/include\/shmem_layout/;

const FLAGS = [
  "-std=c11",
  "-fblocks",
  "-Iffi/native/linux/include",
  "-Iffi/native/include",
  "-Iffi/native/linux",
];

/** Compares a pointer with NULL, where `!pointer` is the style. Tests may: it is what they assert. */
const NULL_COMPARISON = /[!=]= NULL\b/;

async function listSources(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(`${ROOT}/${folder}`)) {
    if (isDirectory) found.push(...await listSources(`${folder}/${name}`));
    else if (/\.[ch]$/.test(name)) found.push(`${folder}/${name}`);
  }
  return found.sort();
}

/** Runs a tool on files; what it complains about, or `undefined` where it is not installed. */
async function run(tool: string, args: string[]): Promise<string | undefined> {
  try {
    const { success, stdout, stderr } = await new Deno.Command(tool, { args, cwd: ROOT }).output();
    if (success) return "";
    const decoder = new TextDecoder();
    return `${decoder.decode(stdout)}${decoder.decode(stderr)}`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Runs clang-tidy on each source, as many at a time as there are processors. */
async function tidy(sources: readonly string[]): Promise<string | undefined> {
  const waiting = [...sources];
  let complaints: string | undefined = "";
  const work = async (): Promise<void> => {
    for (let source = waiting.shift(); source !== undefined; source = waiting.shift()) {
      const result = await run("clang-tidy", ["--quiet", source, "--", ...FLAGS]);
      if (result === undefined) complaints = undefined;
      else if (complaints !== undefined) complaints += result;
    }
  };
  await Promise.all(Array.from({ length: navigator.hardwareConcurrency }, work));
  return complaints;
}

const files = (await Promise.all(FOLDERS.map(listSources))).flat().filter((file) => !EXCEPTIONS.test(file));
let failed = false;

for (const file of files.filter((file) => file.startsWith("ffi/native/"))) {
  const lines = (await Deno.readTextFile(`${ROOT}/${file}`)).split("\n");
  lines.forEach((line, index) => {
    if (!NULL_COMPARISON.test(line)) return;
    console.log(`${file}:${index + 1}: write "!pointer" or "pointer": ${line.trim()}`);
    failed = true;
  });
}

const results = {
  "clang-format": await run("clang-format", ["--dry-run", "-Werror", ...files]),
  "clang-tidy": Deno.build.os === "linux"
    ? await tidy(files.filter((file) => /^ffi\/native\/.*\.c$/.test(file)))
    : undefined,
};
for (const [tool, complaints] of Object.entries(results)) {
  if (complaints === undefined) console.log(`skipped: ${tool} is not installed, or not for this system`);
  else if (complaints !== "") {
    console.log(complaints);
    failed = true;
  }
}
if (failed) Deno.exit(1);
