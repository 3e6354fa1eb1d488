import type { BrokerClient } from "../broker/broker_client.ts";
import type { Expectation } from "../link/adoption.ts";

/** How long a server waits for the clients that waited for it, in milliseconds. */
const PATIENCE = 2000;

/**
 * How old a broker has to be until it knows which clients wait, in milliseconds. Where the last server was the broker too,
 * its clients ask the next one for the server at once, but it has to be there first.
 */
const YOUNG = 300;

/**
 * For which clients a server waits that takes over their memory.
 *
 * @param broker where it is registered
 * @param waiting how many clients its registration answered
 * @param signal ends the wait for the broker
 */
export async function expectationOf(
  broker: BrokerClient,
  waiting: number,
  signal: AbortSignal | undefined,
): Promise<Expectation> {
  if (waiting > 0) return { clients: waiting, patience: PATIENCE };
  const uptime = await broker.uptime(signal);
  if (uptime >= YOUNG) return { clients: 0, patience: 0 };
  return { clients: Infinity, patience: YOUNG - uptime };
}
