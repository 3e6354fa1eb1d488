import { aborted } from "../broker/abort.ts";
import { BrokerConnection, ForeignBrokerError } from "../broker/broker_connection.ts";
import type { BrokerSelection } from "../broker/broker_client.ts";
import { BrokerUnavailableError } from "../broker/errors.ts";
import { DEFAULT_SERVICE } from "../broker/release.ts";
import { InvalidReplyError, RefusedError } from "../broker/replies.ts";
import { ConnectionError } from "../xpc/mod.ts";

/**
 * Asks the broker that is there, without becoming it.
 *
 * @param selection which broker
 * @param signal ends the wait
 * @param ask what to ask
 * @returns what it answers; `undefined` if there is no broker
 * @throws {BrokerUnavailableError} if what is there is no broker to talk to
 * @throws the signal's reason, if it aborts first
 */
export async function askPresentBroker<T>(
  selection: BrokerSelection | undefined,
  signal: AbortSignal | undefined,
  ask: (broker: BrokerConnection, signal: AbortSignal | undefined) => Promise<T>,
): Promise<T | undefined> {
  signal?.throwIfAborted();
  const service = selection?.service ?? DEFAULT_SERVICE;
  try {
    await using broker = await BrokerConnection.open(service, { name: `deno ${Deno.pid}`, signal });
    return await aborted(ask(broker, signal), signal);
  } catch (error) {
    if (error instanceof ConnectionError) return undefined; // there is none, or it has just ended
    if (error instanceof RefusedError && error.code === "terminating") return undefined;
    const isStrange = error instanceof ForeignBrokerError || error instanceof InvalidReplyError ||
      error instanceof RefusedError;
    if (isStrange) throw new BrokerUnavailableError(service, error.message);
    if (error instanceof DOMException && error.name === "TimeoutError" && error !== signal?.reason) {
      throw new BrokerUnavailableError(service, "it does not answer");
    }
    throw error;
  }
}
