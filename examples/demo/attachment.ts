import type { Client, ReadableRegion } from "../../mod.ts";
import { PULSE, regionName, type Setting } from "./messages.ts";

/** All regions of one writer, open. */
export interface Attachment {
  /** The process that serves them. */
  readonly writer: number;
  readonly regions: readonly ReadableRegion[];
  readonly pulse: ReadableRegion;
  /** From the first `open` until all regions with frames were open. */
  readonly attachMilliseconds: number;
  /** From then until each had a view. V8 counts the regions as its own memory, and may collect garbage for it. */
  readonly viewMilliseconds: number;
  /** Resident memory before and after all that, in bytes. */
  readonly residentBytes: { readonly before: number; readonly after: number };
}

/**
 * Opens all regions. Starts again if the writer dies meanwhile.
 *
 * @param client the client, connected or about to be again
 * @param setting how many there are
 * @returns the regions, all of the same writer
 */
export async function attach(client: Client, setting: Setting): Promise<Attachment> {
  const names = Array.from({ length: setting.regions }, (_, index) => regionName(index));
  for (;;) {
    const before = Deno.memoryUsage().rss;
    const start = performance.now();
    const regions = await Promise.all(names.map((name) => client.open(name)));
    const attachMilliseconds = performance.now() - start;
    for (const region of regions) region.view(Uint8Array);
    const viewMilliseconds = performance.now() - start - attachMilliseconds;
    const after = Deno.memoryUsage().rss;
    const pulse = await client.open(PULSE);
    const all = [...regions, pulse];
    if (!all.some(({ orphaned }) => orphaned)) {
      const residentBytes = { before, after };
      return { writer: client.pid, regions, pulse, attachMilliseconds, viewMilliseconds, residentBytes };
    }
    await Promise.all(all.map((region) => region.close()));
  }
}
