/**
 * plug, the package that downloads native libraries for Deno.
 *
 * @module
 */

/** The part of plug that is used. */
export interface Plug {
  /** Downloads a file, or finds it in its cache. Logs a line with the URL. Returns the file's path. */
  download(options: { url: string; location: string; cache: "use" | "reloadAll" }): Promise<string>;
}

/** In a variable, so that Deno does not resolve plug and its dependencies for programs that download nothing. */
const PLUG = "jsr:@denosaurs/plug@1";

/** Imports plug from JSR. */
export async function importPlug(): Promise<Plug> {
  return await import(PLUG);
}

/**
 * Drops the lines that anybody logs about a URL, until the result is disposed. plug has no option to be quiet: it calls
 * `console.log`, and so it writes into the output of the program that imports this library.
 *
 * @param url the URL
 * @returns restores `console.log` when it is disposed
 */
export function hideLogLines(url: string): Disposable {
  const { log } = console;
  let hiding = true;
  const filter = (...data: unknown[]): void => {
    const isAboutUrl = data.some((part) => typeof part === "string" && part.includes(url));
    if (!hiding || !isAboutUrl) log(...data);
  };
  console.log = filter;
  return {
    [Symbol.dispose]() {
      hiding = false; // somebody may have replaced console.log by a function that still calls the filter
      if (console.log === filter) console.log = log;
    },
  };
}
