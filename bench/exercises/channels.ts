/**
 * Messages over a channel to the other process and back.
 *
 * @module
 */
import type { Channel } from "../../mod.ts";
import type { Party } from "../party.ts";

/** The name of the channel. */
const NAME = "midi";

/** How to go. */
export interface Volley {
  /** The bytes of a message. */
  readonly byteLength: number;
  /** The messages of a batch. */
  readonly count: number;
  /** How many batches are measured; one more warms up. */
  readonly batches: number;
}

let opened: Channel | undefined;

/** Opens the channel. */
export async function openChannel({ client }: Party): Promise<void> {
  opened = await client!.channel(NAME);
}

/** This party's end of the channel. */
function endOf({ server }: Party): Channel {
  const channel = server?.channel(NAME).open[0] ?? opened;
  if (channel === undefined) throw new Error(`Cannot use the channel "${NAME}": nobody opened it`);
  return channel;
}

function sendOn(channel: Channel, bytes: Uint8Array): void {
  if (!channel.send(bytes)) throw new Error(`Cannot send a message over "${NAME}": there is no room`);
}

const spinning = { spin: Infinity, timeout: 30_000 } as const;

/** Sends messages and spins for each to come back; gives the nanoseconds of one way, for each batch. */
export function sendSpinning(party: Party, { byteLength, count, batches }: Volley): number[] {
  const channel = endOf(party);
  const bytes = new Uint8Array(byteLength);
  const times: number[] = [];
  for (let batch = -1; batch < batches; batch++) {
    const begin = party.clock();
    for (let left = count; left > 0; left--) {
      sendOn(channel, bytes);
      channel.receiveSync(spinning);
    }
    if (batch >= 0) times.push((party.clock() - begin) / count / 2);
  }
  return times;
}

/** Sends each message back. */
export function echoSpinning(party: Party, { count, batches }: Volley): void {
  const channel = endOf(party);
  for (let left = count * (batches + 1); left > 0; left--) sendOn(channel, channel.receiveSync(spinning));
}

/** Sends messages and awaits each back by the event loop; gives the nanoseconds of a round trip. */
export async function sendOnLoop(party: Party, { byteLength, count }: Volley): Promise<number[]> {
  const channel = endOf(party);
  const bytes = new Uint8Array(byteLength);
  const messages = channel.messages({ spin: 0 });
  const times: number[] = [];
  for (let left = count; left > 0; left--) {
    const begin = party.clock();
    sendOn(channel, bytes);
    await messages.next();
    times.push(party.clock() - begin);
  }
  await messages.return!();
  return times;
}

/** Sends each message back. */
export async function echoOnLoop(party: Party, { count }: Volley): Promise<void> {
  const channel = endOf(party);
  let left = count;
  for await (const bytes of channel.messages({ spin: 0 })) {
    sendOn(channel, bytes);
    if (--left === 0) break;
  }
}
