/** The files of an installed launch agent on macOS. */
export interface DarwinPaths {
  /** The folder of all services' programs. */
  readonly all: string;
  /** The folder of this service's program. */
  readonly folder: string;
  /** The property list. */
  readonly list: string;
  /** The log of a broker that Deno runs. */
  readonly log: string;
}

/** The files of an installed broker on Linux. */
export interface LinuxPaths {
  /** The folder of all services' programs. */
  readonly all: string;
  /** The folder of this service's program. */
  readonly folder: string;
  /** The socket unit. */
  readonly socket: string;
  /** The service unit. */
  readonly service: string;
}

/**
 * Where the launch agent of a service is installed on macOS.
 *
 * @param home the user's home
 * @param service the broker's Mach service
 * @returns the paths
 */
export function darwinPaths(home: string, service: string): DarwinPaths {
  const all = `${home}/Library/Application Support/xpc-shmem`;
  return {
    all,
    folder: `${all}/${service}`,
    list: `${home}/Library/LaunchAgents/${service}.plist`,
    log: `${home}/Library/Logs/${service}.log`,
  };
}

/**
 * Where the broker of a service is installed on Linux.
 *
 * @param home the user's home
 * @param service the broker's Mach service
 * @returns the paths
 */
export function linuxPaths(home: string, service: string): LinuxPaths {
  const data = absolute("XDG_DATA_HOME") ?? `${home}/.local/share`;
  const units = `${absolute("XDG_CONFIG_HOME") ?? `${home}/.config`}/systemd/user`;
  const all = `${data}/xpc-shmem`;
  return {
    all,
    folder: `${all}/${service}`,
    socket: `${units}/${service}.socket`,
    service: `${units}/${service}.service`,
  };
}

/** The value of a variable that names a folder. By its specification, a relative path does not count. */
function absolute(variable: string): string | undefined {
  const value = Deno.env.get(variable);
  return value?.startsWith("/") ? value : undefined;
}
