import { Mapping } from "../memory/mapping.ts";
import { disposeValue, SharedMemory } from "../xpc/mod.ts";
import { isRingLength } from "./channel_options.ts";
import type { ClientLink } from "./client_link.ts";
import { IncompatibleError } from "./errors.ts";
import { MAXIMUM_REGIONS } from "./layout.ts";
import { channelBytes, LinkedChannel } from "./linked_channel.ts";
import { integerOf } from "./protocol.ts";

/**
 * Opens a client's end of a channel.
 *
 * @param link to the server
 * @param name the channel
 * @param signal ends the wait for the server's reply
 * @throws {Deno.errors.NotFound} if the server has no such channel
 * @throws {IncompatibleError} if the answer is not valid
 * @throws {ConnectionError} if the server is gone
 */
export async function openChannel(
  link: ClientLink,
  name: string,
  signal: AbortSignal,
): Promise<LinkedChannel> {
  const reply = await link.ask({ op: "channel", name }, signal);
  try {
    const index = integerOf(reply["index"], MAXIMUM_REGIONS - 1);
    const byteLength = integerOf(reply["byteLength"], Number.MAX_SAFE_INTEGER);
    const { memory } = reply;
    if (
      index === undefined || byteLength === undefined || !isRingLength(byteLength) ||
      !(memory instanceof SharedMemory)
    ) throw new IncompatibleError(`Cannot open "${name}": the server's answer is not of this version`);
    link.check(name);
    const mapping = Mapping.open(memory, channelBytes(byteLength), { name });
    const { pid, audience, gone } = link;
    const facts = { name, index, byteLength, pid, sends: 0, audience, gone } as const;
    return link.keep(
      new LinkedChannel(link, facts, mapping, (closed) => {
        link.drop(closed);
        // The server frees its end. A link that is over has done so already.
        void link.ask({ op: "channel_close", name }, undefined).then(disposeValue, () => {});
      }),
    );
  } finally {
    disposeValue(reply);
  }
}
