/**
 * Starting a broker that is a process of its own.
 *
 * @module
 */
import { BrokerConnection } from "../../src/broker/broker_connection.ts";
import { Child } from "./child.ts";
import { UsageError } from "./options.ts";

/** How long a broker may take to start, in milliseconds. */
const START_TIMEOUT = 20_000;

/** The events of a process that reports none. */
export type NoEvents = Record<never, never>;

/**
 * Starts a broker and waits until it answers.
 *
 * @param kind which: TypeScript's, in a process of its own, or the agent in Swift
 * @param service the Mach service it is to vend
 * @returns the process
 * @throws {UsageError} if nothing says where the agent is
 */
export async function startBroker(
  kind: "embedded" | "swift",
  service: string,
): Promise<Child<NoEvents, never>> {
  const child = kind === "swift"
    ? startAgent(service)
    : Child.startScript<NoEvents, never>("broker", ["--service", service]);
  const ended = new AbortController();
  void child.ended.then(({ code, signal }) => {
    ended.abort(
      new Error(`Cannot use the broker: it ended (${signal ?? `code ${code}`}) before it answered`),
    );
  });
  await answers(service, ended.signal);
  return child;
}

function startAgent(service: string): Child<NoEvents, never> {
  const [command, ...args] = (Deno.env.get("XPC_SHMEM_AGENT") ?? "").split(" ").filter((word) => word !== "");
  if (command === undefined) {
    throw new UsageError(
      "Cannot start the agent: XPC_SHMEM_AGENT does not say where it is. Build it with `swift build -c release` " +
        "and set XPC_SHMEM_AGENT=.build/release/xpc-shmem-agent",
    );
  }
  try {
    return Child.start<NoEvents, never>("broker", command, [...args, "--service", service]);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new UsageError(`Cannot start the agent: XPC_SHMEM_AGENT names "${command}", which is not there`);
  }
}

/** Says hello until the broker answers. */
async function answers(service: string, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT;
  for (;;) {
    signal.throwIfAborted();
    try {
      await using _ = await BrokerConnection.open(service, { name: "demo", timeout: 1000, signal });
      return;
    } catch (error) {
      if (performance.now() > deadline) {
        throw new Error("Cannot use the broker: it does not answer", { cause: error });
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
