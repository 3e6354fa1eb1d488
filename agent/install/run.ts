import { Broker } from "../../src/broker/broker.ts";
import { RELEASE } from "../../src/broker/release.ts";

/** The exit statuses, as sysexits.h numbers them; the Swift agent has the same. */
export const EXIT = { success: 0, failure: 1, usage: 64, unavailable: 69 } as const;

/**
 * Runs the embedded broker until SIGTERM or SIGINT, or until it cannot have the name.
 *
 * @param service the name of the Mach service
 * @param requirement the code-signing requirement for peers, if any
 * @returns the exit status
 */
export async function run(service: string, requirement: string | undefined): Promise<number> {
  const signals = ["SIGTERM", "SIGINT"] as const;
  const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
  for (const signal of signals) Deno.addSignalListener(signal, ask);
  try {
    const broker = await Broker.start({ service, requirement });
    say(`${RELEASE} starts as ${service}, process ${Deno.pid}`);
    const lost = await Promise.race([asked, broker.closed]);
    if (lost !== undefined && !broker.terminating) {
      say(`Cannot listen on ${service}: ${lost.message}`);
      return EXIT.unavailable;
    }
    await broker.close();
    say("ends");
    return EXIT.success;
  } finally {
    for (const signal of signals) Deno.removeSignalListener(signal, ask);
  }
}

function say(text: string): void {
  console.error(`xpc-shmem-agent: ${text}`);
}
