import { AgentError, type Machine } from "./machine.ts";

/** The exit statuses of launchctl. */
const STATUS = {
  /** "Input/output error": the job is loaded already or is being removed, or the property list is not valid. */
  io: 5,
  exists: 17,
  inProgress: 37,
  /** "Could not find domain for …" */
  noDomain: 112,
  /** "Could not find service …" */
  noService: 113,
  disabled: 119,
  /** "Domain does not support specified action": there is no such session, for example over SSH. */
  unsupportedDomain: 125,
} as const;

/** How many tries there are, and the pause between two, in milliseconds: 15 s in all. */
const ATTEMPTS = 30;
const PAUSE = 500;

const HINT = "launchctl comes with macOS: is this one?";

/** Thrown when a domain does not accept agents. */
export class DomainError extends Error {}

/** A job of launchd, in one domain. */
export class Job {
  readonly #machine: Machine;
  readonly #domain: string;
  readonly #target: string;

  /**
   * @param machine the machine it is on
   * @param domain `gui/UID` or `user/UID`
   * @param label the job's label
   */
  constructor(machine: Machine, domain: string, label: string) {
    this.#machine = machine;
    this.#domain = domain;
    this.#target = `${domain}/${label}`;
  }

  /** Whether the job is loaded. */
  async loaded(): Promise<boolean> {
    const options = { accept: "any", dry: STATUS.noService, hint: HINT } as const;
    return (await this.#machine.run(["launchctl", "print", this.#target], options)).code === 0;
  }

  /** Removes the job if it is loaded, and waits until it is gone: `bootout` does not wait. */
  async bootout(): Promise<void> {
    const { code, output } = await this.#machine.run(["launchctl", "bootout", this.#target], {
      accept: "any",
      hint: HINT,
    });
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      if (!await this.loaded()) return;
      await this.#machine.pause(PAUSE);
    }
    throw new AgentError(
      `Cannot remove ${this.#target}: it is still there after launchctl bootout (${code}${
        output === "" ? "" : `: ${output}`
      }). Run "launchctl kill SIGKILL ${this.#target}" and try again`,
    );
  }

  /**
   * Loads the job.
   *
   * @throws {DomainError} if the domain does not accept agents
   * @throws {AgentError} if launchd refuses the job
   */
  async bootstrap(path: string): Promise<void> {
    let last = { code: 0, output: "" };
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      last = await this.#machine.run(["launchctl", "bootstrap", this.#domain, path], {
        accept: "any",
        hint: HINT,
      });
      switch (last.code) {
        case 0:
          return;
        case STATUS.noDomain:
        case STATUS.unsupportedDomain:
          throw new DomainError(`${this.#domain} takes no agents: ${last.output}`);
        case STATUS.disabled:
          throw new AgentError(
            `Cannot load ${this.#target}: it is disabled. Run "launchctl enable ${this.#target}" and try again`,
          );
        case STATUS.io:
        case STATUS.exists:
        case STATUS.inProgress:
          if (await this.loaded()) await this.bootout();
          else await this.#machine.pause(PAUSE);
          break;
        default:
          throw new AgentError(
            `Cannot load ${this.#target}: launchctl bootstrap gave ${last.code}: ${last.output}`,
          );
      }
    }
    throw new AgentError(
      `Cannot load ${this.#target}: launchctl bootstrap gave ${last.code} ${ATTEMPTS} times: ${last.output}. It says ` +
        `so where the job is loaded, and where the property list is not valid: see "launchctl print ${this.#target}" ` +
        `and "plutil -lint '${path}'"; logging out and in again helps with the former`,
    );
  }
}

/** The domains of a user, the preferred one first. There is no `gui` domain over SSH. */
export async function domains(machine: Machine): Promise<readonly [string, ...string[]]> {
  const gui = `gui/${machine.uid}`;
  const user = `user/${machine.uid}`;
  const { code } = await machine.run(["launchctl", "print", gui], { accept: "any", hint: HINT });
  return code === 0 ? [gui, user] : [user];
}
