/** What the property list of a launch agent says. */
export interface LaunchAgent {
  /** Its label, and the name of its Mach service. */
  readonly service: string;
  /** What to run: an absolute path, and arguments. */
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Where its standard error goes, if it does not log by itself. */
  readonly log: string | undefined;
  /** Whether it is for sessions without a screen: over SSH. */
  readonly background: boolean;
}

/**
 * The property list. It starts on demand: no RunAtLoad, no KeepAlive; and EnablePressuredExit stays off, since the
 * registry is in memory only.
 */
export async function propertyList(agent: LaunchAgent): Promise<string> {
  // Imported here, so that whoever only runs a broker does not load it.
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
