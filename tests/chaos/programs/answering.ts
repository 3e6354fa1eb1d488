/**
 * What the cast's server says: answers requests, sends messages back, and echoes channels.
 *
 * @module
 */
import {
  BacklogError,
  type Channel,
  type ConnectedClient,
  type MessageValue,
  PeerGoneError,
} from "../../../mod.ts";
import type { Server } from "../../../mod.ts";
import { excused, id, pause, stop, violated } from "./common.ts";
import { LATE } from "./talking.ts";
import { numberOf } from "./words.ts";

/** For tests of the checks: answers with wrong numbers, and echoes what was not sent. */
let lying = false;

/** Answers and echoes wrongly from now on. */
export function lie(): void {
  lying = true;
}

/** The number of the last message of each client. */
const lasts = new WeakMap<ConnectedClient, number>();

/** Answers a request: at once, too late, or by an error, as it says. */
export async function request(value: MessageValue): Promise<MessageValue> {
  const { number, how } = value as { number: number; how: string };
  if (how === "fail") throw new RangeError("this one fails");
  await pause(how === "late" ? LATE * 2 : Math.random() * 4);
  return { number: lying ? number + 1 : number, life: id };
}

/** Takes a message, and sends its number back. Each message of one client comes, in order. */
export function message(value: MessageValue, client: ConnectedClient): void {
  const { number } = value as { number: number };
  const last = lasts.get(client);
  lasts.set(client, number);
  if (last !== undefined && number !== last + 1) violated(`message ${number} of a client came after ${last}`);
  try {
    client.send({ life: id, number: lying ? 0 : number });
  } catch (error) {
    if (!(error instanceof PeerGoneError) && !(error instanceof BacklogError)) throw error;
  }
}

/** Echoes the channel of each client until the server ends. */
export async function echoAll(server: Server): Promise<void> {
  const echoing = new Set<Promise<void>>();
  for await (const channel of server.channel("midi")) {
    const one = echo(channel).finally(() => echoing.delete(one));
    echoing.add(one);
  }
  await Promise.all(echoing);
}

async function echo(channel: Channel): Promise<void> {
  let last = 0;
  try {
    for await (const bytes of channel.messages({ signal: stop.signal })) {
      const number = numberOf(bytes);
      if (number !== last + 1) violated(`a channel gave ${number ?? "half a message"} after ${last}`);
      last = number ?? last;
      if (lying) bytes[0]!++;
      await channel.sendAsync(bytes, { signal: stop.signal });
    }
  } catch (error) {
    if (!stop.signal.aborted) excused(error); // the client is gone
  }
}
