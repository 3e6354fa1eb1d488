/**
 * A worker that blocks its thread until its region changes, and tells what it sees.
 *
 * @module
 */
/// <reference lib="deno.worker" />
import { connect } from "../../mod.ts";

self.onmessage = async ({ data }: MessageEvent<{ name: string; service: string }>) => {
  let seen: number | undefined;
  {
    await using client = await connect(data.name, { broker: { service: data.service } });
    const frame = await client.open("frame");
    self.postMessage("waiting");
    frame.waitSync(0, { timeout: 20_000 });
    using _ = frame.mutex.lockSync();
    seen = frame.view(Uint8Array)[0];
  }
  self.postMessage(seen);
};
