import { linuxPaths } from "../../src/broker/install_paths.ts";
import { findRuntimeFolder, socketName } from "../../src/broker/runtime_folder.ts";
import type { Arguments } from "./arguments.ts";
import { AgentError, type Machine, readText } from "./machine.ts";
import { prepareProgram, type Program } from "./program.ts";
import { connectToBroker, prove } from "./prove.ts";

/** The socket unit: systemd listens, and starts the broker when the first app connects. */
export function socketUnit(service: string, runtime: string): string {
  return `[Unit]
Description=Broker of @xpc/shmem: ${service}
Documentation=https://jsr.io/@xpc/shmem

[Socket]
ListenSequentialPacket=%t/xpc-shmem/${socketName(service, `${runtime}/xpc-shmem`)}
FileDescriptorName=${service}
SocketMode=0600
DirectoryMode=0700
Backlog=4096
RemoveOnStop=yes

[Install]
WantedBy=sockets.target
`;
}

/** The service unit, which runs the broker. */
export function serviceUnit(service: string, { command, environment }: Omit<Program, "runtime">): string {
  const variables = Object.entries(environment).map(([name, value]) =>
    `Environment=${word(`${name}=${value}`)}\n`
  );
  return `[Unit]
Description=Broker of @xpc/shmem: ${service}
Documentation=https://jsr.io/@xpc/shmem
Requires=${service}.socket
After=${service}.socket

[Service]
ExecStart=:${startable(command).map(word).join(" ")}
${variables.join("")}NoNewPrivileges=yes
LimitNOFILE=524288
`;
}

/** A command that systemd can start: it starts no program whose path has quotes or backslashes, but a shell does. */
function startable(command: readonly string[]): readonly string[] {
  return /["'\\]/.test(command[0] ?? "") ? ["/bin/sh", "-c", 'exec "$0" "$@"', ...command] : command;
}

/** A word of a unit file. The colon before the command keeps systemd from expanding `$`. */
function word(text: string): string {
  const escaped = text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("%", "%%");
  return `"${escaped}"`;
}

const NO_MANAGER =
  "Nothing needs to be installed on Linux: the first app that needs a broker runs one itself";

async function checkManager(machine: Machine): Promise<void> {
  const { code } = await machine.run(["systemctl", "--user", "show-environment"], {
    accept: "any",
    hint: NO_MANAGER,
  });
  if (code !== 0) throw new AgentError(`Cannot install: no user manager of systemd runs here. ${NO_MANAGER}`);
}

/** Installs the socket and the service unit, or replaces another release. */
export async function installOnLinux(machine: Machine, options: Arguments): Promise<void> {
  const { service } = options;
  const units = { socket: `${service}.socket`, service: `${service}.service` };
  const paths = linuxPaths(machine.home, service);
  await checkManager(machine);
  await checkNoApp(machine, service, units.service);
  const isActive = (await machine.run(["systemctl", "--user", "is-active", units.socket], {
    accept: "any",
    dry: 3,
  })).code === 0;
  const program = await prepareProgram(machine, options, paths.folder);
  const runtime = machine.dryRun ? `/run/user/${machine.uid}` : runtimeBase();
  const isNew = await machine.write(paths.socket, socketUnit(service, runtime));
  await machine.write(paths.service, serviceUnit(service, program));
  await machine.run(["systemctl", "--user", "daemon-reload"]);
  if (isActive && !isNew) {
    // The socket stays open: connected apps connect to it again, and register again.
    await machine.run(["systemctl", "--user", "restart", units.service]);
  } else {
    if (isActive) await machine.run(["systemctl", "--user", "stop", units.service, units.socket]);
    await machine.run(["systemctl", "--user", "enable", "--now", units.socket]);
  }
  if (machine.dryRun) {
    return machine.say(`Then hello through the service ${service} proves that the broker answers`);
  }
  const hint = `See "systemctl --user status ${units.service}" and deno task agent:logs`;
  const identity = await prove(service, program.runtime === "swift" ? "swift" : "embedded", hint);
  machine.say(`Installed ${service}: release ${identity.release} answers as process ${identity.pid}`);
}

/** The folder that systemd calls `%t`, in which the library looks for sockets too. */
function runtimeBase(): string {
  const { base, fault, path } = findRuntimeFolder();
  if (fault !== undefined) throw new AgentError(`Cannot install: ${fault}`);
  if (path === `${base}/xpc-shmem`) return base;
  throw new AgentError(
    `Cannot install: systemd listens in the user's runtime folder, and there is none. ${NO_MANAGER}`,
  );
}

/** Refuses to install while an app runs the broker: the apps that found it would not find the new one. */
async function checkNoApp(machine: Machine, service: string, unit: string): Promise<void> {
  if (machine.dryRun) return;
  await using connection = await connectToBroker(service);
  if (connection === undefined) return;
  const shown = await machine.run(["systemctl", "--user", "show", "-p", "MainPID", "--value", unit], {
    accept: "any",
  });
  const { pid, broker } = connection.identity;
  if (shown.output === String(pid)) return;
  throw new AgentError(
    `Cannot install: process ${pid} runs the ${broker} broker of ${service} now. End it first`,
  );
}

/** Removes all that {@linkcode installOnLinux} made. */
export async function uninstallOnLinux(machine: Machine, service: string): Promise<void> {
  const paths = linuxPaths(machine.home, service);
  const isInstalled = machine.dryRun || await readText(paths.socket) !== undefined ||
    await readText(paths.service) !== undefined;
  if (isInstalled) {
    await machine.run(["systemctl", "--user", "disable", "--now", `${service}.socket`], { accept: "any" });
    await machine.run(["systemctl", "--user", "stop", `${service}.service`], { accept: "any" });
  }
  let found = false;
  for (const path of [paths.socket, paths.service, paths.folder]) found = await machine.remove(path) || found;
  await machine.removeEmpty(paths.all);
  if (isInstalled) {
    await machine.run(["systemctl", "--user", "daemon-reload"], { accept: "any" });
    await machine.run(["systemctl", "--user", "reset-failed", `${service}.*`], { accept: "any" });
  }
  if (machine.dryRun) return;
  machine.say(found ? `Uninstalled ${service}` : `Nothing to uninstall: ${service} is not installed`);
}
