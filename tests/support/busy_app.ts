/**
 * An app that becomes the broker, and then does not return to its event loop until a pipe is written to. Calls as in
 * `app.ts`.
 *
 * @module
 */
import { serve } from "../../mod.ts";
import { answer, type Calls } from "./calls.ts";

const calls: Calls = {
  async serve(p) {
    const regions = { frame: { byteLength: 4096 } };
    await serve(String(p["name"]), { regions, broker: { service: String(p["broker"]) } });
  },
  block({ pipe }) {
    using file = Deno.openSync(String(pipe));
    file.readSync(new Uint8Array(1));
  },
};

await answer(calls);
Deno.exit(0);
