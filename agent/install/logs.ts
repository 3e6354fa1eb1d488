import { darwinPaths } from "../../src/broker/install_paths.ts";
import { type Machine, readText } from "./machine.ts";

/** The commands that print a broker's log. */
export function logCommands(
  machine: Machine,
  service: string,
  follow: boolean,
  hasFile: boolean,
): string[][] {
  if (machine.platform === "linux") {
    const units = ["-u", `${service}.service`, "-u", `${service}.socket`];
    return [["journalctl", "--user", "--no-pager", ...units, ...follow ? ["--follow"] : []]];
  }
  const predicate =
    `subsystem == "io.jsr.xpc.shmem" OR (process == "launchd" AND eventMessage CONTAINS "${service}")`;
  const format = ["--style", "compact", "--predicate", predicate];
  const system = follow ? ["log", "stream", ...format] : ["log", "show", "--last", "1h", ...format];
  // A broker that Deno runs writes to a file, which launchd opens.
  const file = ["tail", ...follow ? ["-F"] : ["-n", "200"], darwinPaths(machine.home, service).log];
  if (!hasFile) return [system];
  return follow ? [file] : [system, file];
}

/** Prints a broker's log; returns the exit status. */
export async function logs(machine: Machine, service: string, follow: boolean): Promise<number> {
  const hasFile = machine.platform === "darwin" &&
    await readText(darwinPaths(machine.home, service).log) !== undefined;
  let code = 0;
  for (const command of logCommands(machine, service, follow, hasFile)) code ||= await machine.show(command);
  return code;
}
