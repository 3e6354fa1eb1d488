import type { Package } from "./registry.ts";

/** Where plug comes from: a folder, or `jsr` for the registry itself. */
const VARIABLE = "XPC_SHMEM_PLUG";

/** plug for a registry, and where it is from. */
export interface PlugSource {
  /** For the name of the test. */
  readonly description: string;
  /** What to serve, unless it comes from upstream. */
  readonly packages: readonly Package[];
  /** Who has plug's own dependencies. */
  readonly upstream: string | undefined;
}

const NAME = "@denosaurs/plug";

/** Finds plug: the real one where the environment says so, else a stand-in. */
export async function findPlug(): Promise<PlugSource> {
  const source = Deno.env.get(VARIABLE) ?? "";
  const upstream = "https://jsr.io/";
  if (source === "jsr") return { description: "plug from JSR", packages: [], upstream };
  if (source !== "") {
    return { description: `plug from ${VARIABLE}`, packages: [await readFolder(source)], upstream };
  }
  const text = await Deno.readFile(new URL("./plug_stand_in.ts", import.meta.url));
  const standIn = {
    name: NAME,
    version: "1.0.0",
    exports: { ".": "./mod.ts" },
    files: new Map([["mod.ts", text]]),
  };
  return { description: "a stand-in for plug", packages: [standIn], upstream: undefined };
}

/** A checkout of plug: its modules, with its import map applied. */
async function readFolder(folder: string): Promise<Package> {
  interface Configuration {
    version: string;
    exports: Record<string, string>;
    imports?: Record<string, string>;
  }
  const { version, exports, imports = {} } = JSON.parse(
    await Deno.readTextFile(`${folder}/deno.json`),
  ) as Configuration;
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (!isFile || !name.endsWith(".ts")) continue;
    let text = await Deno.readTextFile(`${folder}/${name}`);
    for (const [from, to] of Object.entries(imports)) text = text.replaceAll(`"${from}"`, `"${to}"`);
    files.set(name, new TextEncoder().encode(text));
  }
  return { name: NAME, version, exports, files };
}
