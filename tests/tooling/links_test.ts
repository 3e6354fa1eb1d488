import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("../../", import.meta.url);

/** The Markdown files that git knows, and the new ones that it does not ignore. */
async function pages(): Promise<string[]> {
  const { code, stdout } = await new Deno.Command("git", {
    args: ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.md"],
    cwd: ROOT,
  }).output();
  assertEquals(code, 0);
  return new TextDecoder().decode(stdout).split("\0").filter((path) => path !== "");
}

/** The text without blocks of code. */
function prose(text: string): string {
  return text.replace(/^ *```.*?^ *```/gms, "");
}

/** The anchors that GitHub gives the headings of a page. */
function anchors(text: string): Set<string> {
  const headings = prose(text).matchAll(/^#+ (.*)$/gm);
  return new Set(
    [...headings].map(([, heading = ""]) =>
      heading.toLowerCase().replace(/[^\p{L}\p{N}_\- ]/gu, "").replaceAll(" ", "-")
    ),
  );
}

/** The links of a page that lead nowhere: to a file that is not there, or to a heading that a page does not have. */
async function broken(page: URL, text: string): Promise<string[]> {
  const found: string[] = [];
  for (const [, link = ""] of prose(text).matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(link)) continue; // an address on the network
    const target = new URL(link, page);
    const anchor = target.hash.slice(1);
    target.hash = "";
    try {
      if (anchor === "") await Deno.stat(target);
      else if (!anchors(target.href === page.href ? text : await Deno.readTextFile(target)).has(anchor)) {
        found.push(link);
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      found.push(link);
    }
  }
  return found;
}

Deno.test("all links between the pages lead somewhere", async () => {
  const paths = await pages();
  assert(paths.includes("README.md"));
  for (const path of paths) {
    const page = new URL(path, ROOT);
    const text = await Deno.readTextFile(page).catch(() => ""); // deleted, not yet committed
    assertEquals(await broken(page, text), [], path);
  }
});

Deno.test("a link that leads nowhere is found", async () => {
  const page = new URL("README.md", ROOT);
  const text =
    "# One & `two`\n[a](#one--two) [b](#three) [c](./LICENSE) [d](./missing.md) [e](https://example.com)\n";
  assertEquals(await broken(page, text), ["#three", "./missing.md"]);
  const other = new URL("LICENSE", ROOT);
  assertEquals(await broken(other, "[a](./README.md#limits) [b](./README.md#no-such-heading)"), [
    "./README.md#no-such-heading",
  ]);
});
