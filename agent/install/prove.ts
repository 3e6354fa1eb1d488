import { Connection, ConnectionError, type XpcRecord } from "../../src/xpc/mod.ts";
import { AgentError } from "./machine.ts";
import { PROTOCOL_VERSION } from "../../src/broker/protocol.ts";

/** How long a broker may take to start: launchd starts a job once in 10 s at most. In milliseconds. */
const PATIENCE = 30_000;
const PAUSE = 100;

/** The end of a hello: a connection that said it, and the broker's answer. */
export interface Greeting extends AsyncDisposable {
  readonly connection: Connection;
  readonly identity: XpcRecord;
}

/** Says hello to the broker of a service; nothing if there is none. */
export async function greet(service: string, timeout: number): Promise<Greeting | undefined> {
  const connection = await Connection.toService(service);
  const version = BigInt(PROTOCOL_VERSION);
  try {
    const hello = { op: "hello", min: version, max: version, name: "xpc-shmem agent" };
    const identity = await connection.request(hello, { timeout });
    return { connection, identity, [Symbol.asyncDispose]: () => connection.close() };
  } catch (error) {
    await connection.close();
    if (error instanceof ConnectionError) return undefined;
    if (error instanceof DOMException && error.name === "TimeoutError") return undefined;
    throw error;
  }
}

/**
 * Proves that a broker answers under the name of a service.
 *
 * @param service the name
 * @param broker which one it is expected to be
 * @param hint what to do if it does not answer
 * @returns what it says of itself
 * @throws {AgentError} if none answers, or another one
 */
export async function prove(service: string, broker: string, hint: string): Promise<XpcRecord> {
  const end = performance.now() + PATIENCE;
  while (performance.now() < end) {
    await using greeting = await greet(service, end - performance.now());
    const { code, ...identity } = greeting?.identity ?? { code: "none" };
    if (identity["ok"] === true && identity["broker"] === broker) return identity;
    if (identity["ok"] === true) {
      throw new AgentError(
        `Cannot prove that the broker runs: process ${identity["pid"]} answers as ${
          identity["service"]
        }, the ` +
          `"${identity["broker"]}" broker of release ${
            identity["release"]
          }. End the app that runs it, and try again`,
      );
    }
    if (code !== "none" && code !== "terminating") {
      throw new AgentError(`Cannot prove that the broker runs: it answers "${identity["message"]}"`);
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
  throw new AgentError(`Cannot prove that the broker runs: ${service} does not answer. ${hint}`);
}
