import { darwinPaths } from "../../src/broker/install_paths.ts";
import type { Arguments } from "./arguments.ts";
import { DomainError, domains, Job } from "./launchctl.ts";
import { AgentError, type Machine } from "./machine.ts";
import { type LaunchAgent, propertyList } from "./plist.ts";
import { prepareProgram } from "./program.ts";
import { prove } from "./prove.ts";

/** Installs the launch agent, or replaces another release. */
export async function installOnDarwin(machine: Machine, options: Arguments): Promise<void> {
  const { service } = options;
  const paths = darwinPaths(machine.home, service);
  const program = await prepareProgram(machine, options, paths.folder);
  const agent: Omit<LaunchAgent, "background"> = {
    service,
    command: program.command,
    environment: program.environment,
    log: program.runtime === "deno" ? paths.log : undefined, // the Swift agent writes to the system's log
  };
  const all = await domains(machine);
  if (machine.dryRun) {
    machine.say("Where a job of this label is loaded: launchctl bootout, and print until it is gone");
  }
  for (const domain of all) {
    const job = new Job(machine, domain, service);
    if (await job.loaded()) await job.bootout();
  }
  for (const domain of all) {
    await machine.write(paths.list, await propertyList({ ...agent, background: domain.startsWith("user/") }));
    try {
      await new Job(machine, domain, service).bootstrap(paths.list);
      break;
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      if (domain !== all.at(-1)) continue;
      throw new AgentError(
        `Cannot load ${service}: ${error.message}. Log in on the Mac's own screen, and install from there`,
      );
    }
  }
  if (machine.dryRun) {
    return machine.say(`Then hello through the service ${service} proves that the broker answers`);
  }
  const hint = `See "launchctl print ${all[0]}/${service}" and deno task agent:logs`;
  const identity = await prove(service, program.runtime === "swift" ? "swift" : "embedded", hint);
  machine.say(`Installed ${service}: release ${identity.release} answers as process ${identity.pid}`);
}

/** Removes all that {@linkcode installOnDarwin} made. */
export async function uninstallOnDarwin(machine: Machine, service: string): Promise<void> {
  const paths = darwinPaths(machine.home, service);
  let found = false;
  if (machine.dryRun) machine.say("Where the job is loaded: launchctl bootout, and print until it is gone");
  for (const domain of await domains(machine)) {
    const job = new Job(machine, domain, service);
    if (!await job.loaded()) continue;
    found = true;
    await job.bootout();
  }
  for (const path of [paths.list, paths.folder, paths.log]) found = await machine.remove(path) || found;
  await machine.removeEmpty(paths.all);
  if (machine.dryRun) return;
  machine.say(found ? `Uninstalled ${service}` : `Nothing to uninstall: ${service} is not installed`);
}
