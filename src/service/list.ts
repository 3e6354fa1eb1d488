import type { BrokerSelection } from "../broker/broker_client.ts";
import { checkListOptions } from "./options.ts";
import { askPresentBroker } from "./present_broker.ts";

/** Options of {@linkcode list} and {@linkcode exists}. */
export interface ListOptions {
  /** The broker to ask. */
  broker?: BrokerSelection | undefined;
  /** Ends the wait for the broker with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** A service that is there. */
export interface ServiceDescription {
  /** Its name. */
  readonly name: string;
  /** The process that serves it. */
  readonly pid: number;
  /** When it was registered at this broker. */
  readonly since: Date;
}

/**
 * Lists the services that are there. Where there is no broker, there is none.
 *
 * @param options the broker to ask, and when to give up
 * @returns the services, by name
 * @throws {BrokerUnavailableError} if the broker does not answer, or is one of another user or version
 * @throws the signal's reason, if it aborts first
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { list, serve } from "@xpc/shmem";
 *
 * await using _server = await serve("com.example.list", { regions: {} });
 * const services = await list();
 * assert(services.some(({ name, pid }) => name === "com.example.list" && pid === Deno.pid));
 * ```
 */
export async function list(options: ListOptions = {}): Promise<ServiceDescription[]> {
  checkListOptions("list the services", options);
  const { broker, signal } = options;
  const services = await askPresentBroker(broker, signal, (broker, signal) => broker.list({ signal }));
  return (services ?? []).map(({ name, pid, since }) => ({ name, pid, since }));
}
