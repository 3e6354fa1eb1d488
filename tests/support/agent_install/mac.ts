/** A Mac, as far as installing needs one: a home, and a launchctl that records. */
import type { Arguments } from "../../../agent/install/arguments.ts";
import { installOnDarwin, uninstallOnDarwin } from "../../../agent/install/darwin.ts";
import { Machine } from "../../../agent/install/machine.ts";
import { removeTraces, uniqueService } from "../../contract/broker/brokers.ts";
import type { LaunchctlState } from "./launchctl.ts";

const script = decodeURIComponent(new URL("./launchctl.ts", import.meta.url).pathname);

/** A Mac of a test's own. */
export class Mac implements AsyncDisposable {
  /** The name of the service to install. */
  readonly service = uniqueService();
  /** The user's files. A name with all that paths can have on a Mac. */
  readonly home: string;
  /** What was said to the user. */
  readonly said: string[] = [];
  /** How long it waited, in milliseconds, had it really. */
  waited = 0;
  readonly #root: string;

  private constructor(root: string) {
    this.#root = root;
    this.home = `${root}/Zoë's "new" Mac & co`;
  }

  /** Makes one; `state` tells how its launchctl behaves. */
  static async make(state: Partial<LaunchctlState> = {}): Promise<Mac> {
    const mac = new Mac(await Deno.makeTempDir({ prefix: "xpc-shmem-mac-" }));
    await Deno.mkdir(mac.home);
    await Deno.mkdir(`${mac.#root}/bin`);
    mac.state = { calls: [], gui: true, refusals: [], lingers: 0, jobs: {}, ...state };
    const deno = Deno.execPath();
    await Deno.writeTextFile(
      `${mac.#root}/bin/launchctl`,
      `#!/bin/sh\nexec '${deno}' run -A --quiet '${script}' "$@"\n`,
    );
    await Deno.chmod(`${mac.#root}/bin/launchctl`, 0o755);
    return mac;
  }

  /** What its launchctl remembers. */
  get state(): LaunchctlState {
    return JSON.parse(Deno.readTextFileSync(`${this.#root}/state.json`));
  }

  set state(state: LaunchctlState) {
    Deno.writeTextFileSync(`${this.#root}/state.json`, JSON.stringify(state));
  }

  /** What launchctl was asked since the last time, with the service as NAME and the home as HOME. */
  calls(): string[] {
    const { state } = this;
    this.state = { ...state, calls: [] };
    return state.calls.map((call) => call.replaceAll(this.service, "NAME").replaceAll(this.home, "HOME"));
  }

  /** The machine; without a PATH, nothing is on it. */
  machine(path = `${this.#root}/bin`): Machine {
    return new Machine({
      platform: "darwin",
      home: this.home,
      uid: 501,
      dryRun: false,
      environment: { PATH: path, LAUNCHCTL_STATE: `${this.#root}/state.json` },
      say: (text) => this.said.push(text),
      pause: (milliseconds) => {
        this.waited += milliseconds;
        return Promise.resolve();
      },
    });
  }

  /** Installs the embedded broker, as `agent install` does. */
  async install(options: Partial<Arguments> = {}, machine = this.machine()): Promise<void> {
    await installOnDarwin(machine, { ...this.#arguments("install"), ...options });
  }

  /** Uninstalls it. */
  async uninstall(machine = this.machine()): Promise<void> {
    await uninstallOnDarwin(machine, this.service);
  }

  #arguments(action: "install"): Arguments {
    return {
      action,
      service: this.service,
      requirement: undefined,
      runtime: "deno",
      platform: "darwin",
      dryRun: false,
      json: false,
      follow: false,
    };
  }

  /** All files of the home. */
  files(): string[] {
    return [...walk(this.home)].map((path) =>
      path.slice(this.home.length + 1).replaceAll(this.service, "NAME")
    ).sort();
  }

  /** Ends what its launchctl has started, and removes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const pid of Object.values(this.state.jobs)) {
      try {
        if (pid !== 0) Deno.kill(pid, "SIGKILL");
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    await Deno.remove(this.#root, { recursive: true });
    removeTraces(this.service);
  }
}

function* walk(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    if (isDirectory) yield* walk(`${folder}/${name}`);
    else yield `${folder}/${name}`;
  }
}
