import { BrokerConnection, ForeignBrokerError } from "../../src/broker/broker_connection.ts";
import { type BrokerIdentity, InvalidReplyError, RefusedError } from "../../src/broker/replies.ts";
import { ConnectionError } from "../../src/xpc/mod.ts";
import { AgentError } from "./machine.ts";

/** How long a broker may take to start: launchd starts a job at most once in 10 s. In milliseconds. */
const START_TIMEOUT = 30_000;

/** The pause between two tries, in milliseconds. */
const PAUSE = 100;

/**
 * Connects to the broker of a service.
 *
 * @param service the broker's Mach service
 * @param timeout how long it may take to answer, in milliseconds; by default long enough for launchd to start it
 * @returns the connection, or `undefined` if no broker answers or the broker is about to end
 * @throws {AgentError} if what answers is not a broker of this user and version
 */
export async function connectToBroker(
  service: string,
  timeout?: number,
): Promise<BrokerConnection | undefined> {
  try {
    return await BrokerConnection.open(service, { name: "xpc-shmem agent", timeout });
  } catch (error) {
    if (error instanceof ConnectionError || isTimeout(error)) return undefined;
    if (error instanceof RefusedError && error.code === "terminating") return undefined;
    throw agentError(error);
  }
}

/**
 * Runs `ask` with a broker's connection, and says in plain words what goes wrong.
 *
 * @param connection the connection
 * @param ask what to ask
 * @returns what `ask` returns
 * @throws {AgentError} if the broker does not answer as one
 */
export async function askBroker<T>(
  connection: BrokerConnection,
  ask: (connection: BrokerConnection) => Promise<T>,
): Promise<T> {
  try {
    return await ask(connection);
  } catch (error) {
    if (error instanceof ConnectionError) throw new AgentError("Cannot ask the broker: it has ended");
    if (isTimeout(error)) throw new AgentError("Cannot ask the broker: it does not answer");
    throw agentError(error);
  }
}

/**
 * Proves that a broker answers under the name of a service.
 *
 * @param service the broker's Mach service
 * @param broker the implementation that must answer
 * @param hint what to do if it does not answer
 * @returns what it says of itself
 * @throws {AgentError} if none answers, or another one does
 */
export async function prove(service: string, broker: string, hint: string): Promise<BrokerIdentity> {
  const end = performance.now() + START_TIMEOUT;
  while (performance.now() < end) {
    await using connection = await connectToBroker(service, end - performance.now());
    const { identity } = connection ?? {};
    if (identity?.broker === broker) return identity;
    if (identity !== undefined) {
      throw new AgentError(
        `Cannot prove that the broker runs: process ${identity.pid} answers as ${identity.service}, the ` +
          `"${identity.broker}" broker of release ${identity.release}. End the app that runs it, and try again`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
  throw new AgentError(`Cannot prove that the broker runs: ${service} does not answer. ${hint}`);
}

function isTimeout(error: unknown): boolean {
  return error instanceof DOMException && error.name === "TimeoutError";
}

function agentError(error: unknown): unknown {
  if (error instanceof RefusedError) {
    return new AgentError(`Cannot ask the broker: it answers "${error.message}"`);
  }
  if (error instanceof InvalidReplyError || error instanceof ForeignBrokerError) {
    return new AgentError(`Cannot ask the broker: ${error.message}`);
  }
  return error;
}
