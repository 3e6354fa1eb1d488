import type { Arguments } from "./arguments.ts";
import { installOnDarwin, uninstallOnDarwin } from "./darwin.ts";
import { logs } from "./logs.ts";
import { AgentError, Machine } from "./machine.ts";
import { EXIT } from "./run.ts";
import { status } from "./status.ts";
import { installOnLinux, uninstallOnLinux } from "./systemd.ts";

/**
 * Installs or uninstalls the broker, or prints its state or its log.
 *
 * @param options what to do
 * @returns the exit status
 */
export async function administer(options: Arguments): Promise<number> {
  try {
    return await act(options);
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    console.error(`xpc-shmem-agent: ${error.message}`);
    return EXIT.failure;
  }
}

async function act(options: Arguments): Promise<number> {
  const { action, platform, service, dryRun } = options;
  if (action === "status") return await status(service, options.json);
  const home = Deno.env.get("HOME");
  if (home === undefined || !home.startsWith("/")) {
    throw new AgentError("Cannot find your home: HOME is not set to an absolute path");
  }
  const uid = Deno.uid() ?? 0;
  if (uid === 0 && platform === "darwin" && !dryRun) {
    throw new AgentError("Cannot install for root: an agent belongs to a user. Run this without sudo");
  }
  const machine = new Machine({ platform, home, uid, dryRun, say: (text) => console.log(text) });
  const isDarwin = platform === "darwin";
  switch (action) {
    case "install":
      await (isDarwin ? installOnDarwin(machine, options) : installOnLinux(machine, options));
      break;
    case "uninstall":
      await (isDarwin ? uninstallOnDarwin(machine, service) : uninstallOnLinux(machine, service));
      break;
    case "logs":
      return await logs(machine, service, options.follow);
    default:
      throw new TypeError(`Cannot administer the broker: "${action}" is not an action that does so`);
  }
  return EXIT.success;
}
