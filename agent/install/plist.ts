/** The content of a launch agent's property list. */
export interface LaunchAgent {
  /** The label, and the name of the Mach service. */
  readonly service: string;
  /** The program's absolute path and its arguments. */
  readonly command: readonly string[];
  /** The environment of the program. */
  readonly environment: Readonly<Record<string, string>>;
  /** The file for its standard error, if it does not write to the system's log. */
  readonly log: string | undefined;
  /** Whether it is for sessions without a screen, such as over SSH. */
  readonly background: boolean;
}

/**
 * Makes the property list of a launch agent. launchd starts the agent on demand, so there is no RunAtLoad and no
 * KeepAlive. EnablePressuredExit stays off, since the registry is in memory only.
 */
export async function propertyList(agent: LaunchAgent): Promise<string> {
  // Imported here, so that running a broker does not load it.
  const { build } = await import("npm:plist@5.0.0");
  const text = build({
    Label: agent.service,
    ProgramArguments: [...agent.command],
    MachServices: { [agent.service]: true },
    ProcessType: "Adaptive",
    ...Object.keys(agent.environment).length === 0 ? {} : { EnvironmentVariables: { ...agent.environment } },
    ...agent.log === undefined ? {} : { StandardErrorPath: agent.log },
    ...agent.background ? { LimitLoadToSessionType: "Background" } : {},
  });
  return text.endsWith("\n") ? text : `${text}\n`;
}
