import type { Client, ReadableRegion, StreamReader } from "../../mod.ts";
import { PULSE, regionName, type Setting } from "./messages.ts";

/** What has frames. */
export type Source = ReadableRegion | StreamReader;

/** All regions or streams of one writer, open. */
export interface Attachment {
  /** The process that serves them. */
  readonly writer: number;
  readonly sources: readonly Source[];
  readonly pulse: ReadableRegion;
  /** From the first `open` until all with frames were open. */
  readonly attachMilliseconds: number;
  /** From then until each region had a view. V8 counts the regions as its own memory, and may collect garbage for it. */
  readonly viewMilliseconds: number;
  /** Resident memory before and after all that, in bytes. */
  readonly residentBytes: { readonly before: number; readonly after: number };
}

/**
 * Opens all regions or streams. Starts again if the writer dies meanwhile.
 *
 * @param client the client, connected or about to be again
 * @param setting what there is
 * @param signal ends the loops over frames
 * @returns all of the same writer
 */
export async function attach(client: Client, setting: Setting, signal: AbortSignal): Promise<Attachment> {
  const names = Array.from({ length: setting.regions }, (_, index) => regionName(index));
  for (;;) {
    const before = Deno.memoryUsage().rss;
    const start = performance.now();
    const sources: Source[] = await Promise.all(
      names.map((name) => setting.mode === "stream" ? client.stream(name, { signal }) : client.open(name)),
    );
    const attachMilliseconds = performance.now() - start;
    for (const source of sources) if ("view" in source) source.view(Uint8Array);
    const viewMilliseconds = performance.now() - start - attachMilliseconds;
    const after = Deno.memoryUsage().rss;
    const pulse = await client.open(PULSE);
    const all = [...sources, pulse];
    if (!all.some(({ orphaned }) => orphaned)) {
      const residentBytes = { before, after };
      return { writer: client.pid, sources, pulse, attachMilliseconds, viewMilliseconds, residentBytes };
    }
    await Promise.all(all.map((source) => source.close()));
  }
}
