/**
 * A worker of the client's: connects by itself, waits for a commit, and closes what it has.
 *
 * @module
 */
/// <reference lib="deno.worker" />
import { connect } from "../../../mod.ts";

self.onmessage = async ({ data: { name, broker } }: MessageEvent) => {
  {
    await using client = await connect(name, { broker });
    await using mask = await client.open("mask");
    mask.waitSync(mask.revision, { timeout: 60_000 });
  }
  self.postMessage("done");
};
