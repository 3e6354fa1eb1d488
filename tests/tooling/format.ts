/**
 * Formats the project with dprint, or checks that it is formatted: `deno task fmt`, and a part of `deno task check`.
 * The settings are those of `dprint.json`; the plugins come from npm, so that no other host is needed.
 *
 * @module
 */
import { createFromBuffer, type Formatter } from "npm:@dprint/formatter@0.6.0";
import { getPath as jsonPlugin } from "npm:@dprint/json@0.24.0";
import { getPath as markdownPlugin } from "npm:@dprint/markdown@0.28.1";
import { getPath as typescriptPlugin } from "npm:@dprint/typescript@0.96.1";
import { ROOT } from "../../ffi/build/root.ts";
import { listFiles } from "./files.ts";

interface Settings {
  readonly lineWidth: number;
  readonly typescript: Record<string, unknown>;
  readonly json: Record<string, unknown>;
  readonly markdown: Record<string, unknown>;
}

async function formatters(): Promise<Map<string, Formatter>> {
  const settings: Settings = JSON.parse(await Deno.readTextFile(`${ROOT}/dprint.json`));
  const make = async (path: string, own: Record<string, unknown>): Promise<Formatter> => {
    const formatter = createFromBuffer(await Deno.readFile(path));
    formatter.setConfig({ lineWidth: settings.lineWidth }, own);
    return formatter;
  };
  const typescript = await make(typescriptPlugin(), settings.typescript);
  return new Map([
    ["ts", typescript],
    ["json", await make(jsonPlugin(), settings.json)],
    ["md", await make(markdownPlugin(), settings.markdown)],
  ]);
}

/**
 * Formats all files, or only looks.
 *
 * @param write whether to write what differs
 * @param patterns which files, as git takes them
 * @returns the files that were not formatted
 */
async function format(write: boolean, patterns = ["*.ts", "*.json", "*.md"]): Promise<string[]> {
  const byExtension = await formatters();
  const unformatted: string[] = [];
  for (const path of await listFiles(ROOT, patterns)) {
    const file = `${ROOT}/${path}`;
    const fileText = await Deno.readTextFile(file);
    const formatter = byExtension.get(path.slice(path.lastIndexOf(".") + 1));
    if (formatter === undefined) continue;
    const formatted = formatter.formatText({ filePath: path, fileText });
    if (formatted === fileText) continue;
    unformatted.push(path);
    if (write) await Deno.writeTextFile(file, formatted);
  }
  return unformatted;
}

if (import.meta.main) {
  const write = Deno.args.includes("--write");
  const patterns = Deno.args.filter((argument) => !argument.startsWith("--"));
  const unformatted = await format(write, patterns.length > 0 ? patterns : undefined);
  for (const path of unformatted) console.log(`${write ? "formatted" : "not formatted"}: ${path}`);
  if (unformatted.length > 0 && !write) Deno.exit(1);
}
