import type { Pair } from "./processes.ts";

/** Connects the two by a Unix socket, whose path is gone afterwards. */
export async function openSockets(pair: Pair): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "bench-" });
  try {
    const path = `${folder}/socket`;
    await pair.server.call("listen", { path });
    await pair.client.call("call", { path });
    await pair.server.call("accepted");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
