import { BrokerClient, type BrokerSelection } from "../broker/broker_client.ts";
import { BrokerUnavailableError } from "../broker/errors.ts";
import { type FoundService, RefusedError } from "../broker/replies.ts";
import { ServiceNotFoundError } from "./errors.ts";

/**
 * Finds the registration of a name that is there now. Where no broker runs, nobody serves anything: this process does
 * not become the broker to say so.
 *
 * @param name the name of the service
 * @param selection which broker to ask
 * @param signal ends the wait for the broker
 * @returns the registration; the endpoint is the caller's
 * @throws {ServiceNotFoundError} if there is none; the message says what is registered
 * @throws {BrokerUnavailableError} if no broker can be reached, and this process may not become it
 * @throws the signal's reason, if it aborts first
 */
export async function findNow(
  name: string,
  selection: BrokerSelection = {},
  signal: AbortSignal,
): Promise<FoundService> {
  const { embedded = Deno.build.os === "linux" } = selection;
  const broker = BrokerClient.acquire({ ...selection, embedded: false });
  try {
    return await broker.find(name, signal);
  } catch (error) {
    if (error instanceof RefusedError && error.code === "not_found") {
      throw new ServiceNotFoundError(name, describeNames(await broker.names()));
    }
    if (error instanceof BrokerUnavailableError && embedded) {
      throw new ServiceNotFoundError(name, "no broker runs, so nothing is registered", { cause: error });
    }
    throw error;
  } finally {
    await broker.release();
  }
}

/**
 * What there is instead of a service that was not found, as part of a sentence: perhaps the name has a typo.
 *
 * @param names what is registered, as far as the broker tells
 */
export function describeNames(names: readonly string[] | undefined): string {
  if (names === undefined) return "the broker does not answer";
  if (names.length === 0) return "nothing is registered at the broker";
  return `registered are ${names.map((name) => `"${name}"`).join(", ")}`;
}
