import { aborted } from "../broker/abort.ts";
import { Mapping } from "../memory/mapping.ts";
import { disposeValue, SharedMemory, type XpcRecord } from "../xpc/mod.ts";
import { isRingLength } from "./channel_options.ts";
import type { ClientLink } from "./client_link.ts";
import { IncompatibleError } from "./errors.ts";
import { MAXIMUM_REGIONS } from "./layout.ts";
import { channelBytes, LinkedChannel } from "./linked_channel.ts";
import { integerOf } from "./protocol.ts";

/** Requests whose caller has given up: the server may open the channel still, and has to close it before the next one. */
const given = new WeakMap<ClientLink, Map<string, Promise<void>>>();

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
  await aborted(given.get(link)?.get(name) ?? Promise.resolve(), signal);
  link.noticeChannels(); // the server may have closed the last one of this name
  const asked = link.ask({ op: "channel", name }, undefined);
  let reply: XpcRecord;
  try {
    reply = await aborted(asked, signal);
  } catch (error) {
    if (signal.aborted) giveBack(link, name, asked);
    throw error;
  }
  try {
    return keep(link, name, reply);
  } catch (error) {
    void close(link, name);
    throw error;
  } finally {
    disposeValue(reply);
  }
}

function keep(link: ClientLink, name: string, reply: XpcRecord): LinkedChannel {
  const index = integerOf(reply["index"], MAXIMUM_REGIONS - 1);
  const byteLength = integerOf(reply["byteLength"], Number.MAX_SAFE_INTEGER);
  const { memory } = reply;
  if (
    index === undefined || byteLength === undefined || !isRingLength(byteLength) ||
    !(memory instanceof SharedMemory)
  ) throw new IncompatibleError(`Cannot open "${name}": the server's answer is not of this version`);
  link.check(name);
  using undo = new DisposableStack();
  const mapping = undo.use(Mapping.open(memory, channelBytes(byteLength), { name }));
  const { pid, audience, gone } = link;
  const facts = { name, index, byteLength, pid, sends: 0, audience, gone } as const;
  const channel = new LinkedChannel(link, facts, mapping, {
    ended: () => void close(link, name), // before anybody can ask for the next one
    freed: () => link.drop(channel),
  });
  undo.move();
  link.keep(channel);
  channel.notice(); // the server may have closed it before it was kept
  return channel;
}

/** Has the server free its end. A link that is over has done so already. */
async function close(link: ClientLink, name: string): Promise<void> {
  try {
    disposeValue(await link.ask({ op: "channel_close", name }, undefined));
  } catch {
    // the link is over
  }
}

/** Closes what the server opens after nobody waits for it any more. */
function giveBack(link: ClientLink, name: string, asked: Promise<XpcRecord>): void {
  const names = given.get(link) ?? new Map<string, Promise<void>>();
  given.set(link, names);
  const givenBack = asked.then(async (late) => {
    disposeValue(late);
    await close(link, name);
  }, () => {}).finally(() => names.delete(name));
  names.set(name, givenBack);
}
