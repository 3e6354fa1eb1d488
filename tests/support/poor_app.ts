/**
 * An app that may be short of descriptors, and that can take all that are left.
 *
 * @module
 */
import { connect, serve } from "../../mod.ts";
import { Broker } from "../../src/broker/broker.ts";
import { answer } from "./calls.ts";

const files: Deno.FsFile[] = [];
const kept: unknown[] = [];

const ignore = (): void => {};

function optionsOf(p: Record<string, unknown>) {
  return { broker: { service: String(p["broker"]) }, signal: AbortSignal.timeout(Number(p["timeout"])) };
}

await answer({
  /** Runs a broker. */
  async broker(p) {
    kept.push(await Broker.start({ service: String(p["broker"]) }));
  },
  async serve(p) {
    kept.push(await serve(String(p["name"]), { regions: { frame: { byteLength: 4096 } }, ...optionsOf(p) }));
  },
  /** Connects and opens a region; gives its length. */
  async open(p) {
    const client = await connect(String(p["name"]), optionsOf(p));
    kept.push(client);
    return (await client.open("frame")).byteLength;
  },
  /** Opens files until no descriptor is left but so many. */
  fill(p) {
    // Deno takes descriptors of its own for this, half a second after its start, and aborts if there are none.
    Deno.addSignalListener("SIGUSR2", ignore);
    Deno.removeSignalListener("SIGUSR2", ignore);
    try {
      for (;;) files.push(Deno.openSync("/dev/null"));
    } catch (error) {
      if (!String(error).includes("os error 24")) throw error;
    }
    for (let left = Number(p["leave"]); left > 0; left--) files.pop()!.close();
  },
  /** Closes those files. */
  drain() {
    for (const file of files.splice(0)) file.close();
  },
});
Deno.exit(0); // what is kept would keep the process
