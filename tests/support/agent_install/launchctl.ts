/**
 * A launchctl that records what it is asked, refuses as it is told, and runs the program of a property list: what
 * stands in for the real one where there is none. Its state is a file, named by `LAUNCHCTL_STATE`.
 *
 * @module
 */
import { parse } from "npm:plist@5.0.0";

/** What it remembers from call to call. */
export interface LaunchctlState {
  /** All calls. */
  calls: string[];
  /** Whether there is a session with a screen. */
  gui: boolean;
  /** Statuses that `bootstrap` gives before it succeeds. */
  refusals: number[];
  /** How often a job that was booted out is still there when `print` looks. */
  lingers: number;
  /** The processes of the jobs that are loaded, by target; 0: none. */
  jobs: Record<string, number>;
}

interface LaunchAgent {
  Label: string;
  ProgramArguments: string[];
  EnvironmentVariables?: Record<string, string>;
}

const SAID: Record<number, string> = {
  5: "Bootstrap failed: 5: Input/output error",
  113: "Could not find service in domain",
  119: "Bootstrap failed: 119: Service is disabled",
  125: "Bootstrap failed: 125: Domain does not support specified action",
};

if (import.meta.main) {
  const path = Deno.env.get("LAUNCHCTL_STATE")!;
  const state: LaunchctlState = JSON.parse(Deno.readTextFileSync(path));
  state.calls.push(Deno.args.join(" "));
  const code = run(state, Deno.args);
  Deno.writeTextFileSync(path, JSON.stringify(state));
  if (code !== 0) console.error(SAID[code] ?? `failed: ${code}`);
  Deno.exit(code);
}

function run(state: LaunchctlState, [verb, target = "", list = ""]: string[]): number {
  switch (verb) {
    case "print": {
      if (/^\w+\/\d+$/.test(target)) return target.startsWith("gui/") && !state.gui ? 113 : 0;
      const pid = state.jobs[target];
      if (pid === 0 && state.lingers-- <= 0) delete state.jobs[target];
      return target in state.jobs ? 0 : 113;
    }
    case "bootout": {
      const pid = state.jobs[target];
      if (pid === undefined) return 113;
      if (pid !== 0) Deno.kill(pid, "SIGTERM");
      state.jobs[target] = 0;
      return 0;
    }
    case "bootstrap": {
      const refusal = state.refusals.shift();
      if (refusal !== undefined) return refusal;
      const { Label, ProgramArguments, EnvironmentVariables } = parse(
        Deno.readTextFileSync(list),
      ) as unknown as LaunchAgent;
      const job = `${target}/${Label}`;
      if (job in state.jobs) return 5;
      state.jobs[job] = start(ProgramArguments, EnvironmentVariables ?? {});
      return 0;
    }
    default:
      return 64;
  }
}

function start([program = "", ...args]: string[], env: Record<string, string>): number {
  const child = new Deno.Command(program, { args, env, stdin: "null", stdout: "null", stderr: "null" })
    .spawn();
  child.unref();
  return child.pid;
}
