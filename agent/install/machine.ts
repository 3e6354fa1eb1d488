import type { Platform } from "./arguments.ts";

/** What installing and the like cannot do, with what to do about it. */
export class AgentError extends Error {
  /** @param message "Cannot …" */
  constructor(message: string) {
    super(message);
    this.name = "AgentError";
  }
}

/** How a command ended. */
export interface CommandResult {
  /** Its exit status. */
  readonly code: number;
  /** What it said, on both streams. */
  readonly output: string;
}

/** Options of {@linkcode Machine.run}. */
export interface RunOptions {
  /** Statuses besides 0 that are no failure. */
  readonly accept?: readonly number[] | "any";
  /** The status to go on with where nothing is done. */
  readonly dry?: number;
  /** What to do if the program is missing or fails. */
  readonly hint?: string;
}

/** What a machine is made of. */
export interface MachineOptions {
  readonly platform: Platform;
  readonly home: string;
  readonly uid: number;
  /** Print what would be done, and do nothing. */
  readonly dryRun: boolean;
  /** Set for the commands that are run. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Where the text for people goes. */
  readonly say: (text: string) => void;
  /** Waits, in milliseconds; tests need not. */
  readonly pause?: (milliseconds: number) => Promise<void>;
}

/** The machine that a broker is installed on: every file and every command goes through here. */
export class Machine {
  readonly platform: Platform;
  readonly home: string;
  readonly uid: number;
  readonly dryRun: boolean;
  readonly #options: MachineOptions;

  /** @param options what it is made of */
  constructor(options: MachineOptions) {
    ({ platform: this.platform, home: this.home, uid: this.uid, dryRun: this.dryRun } = options);
    this.#options = options;
  }

  /** Tells people something. */
  say(text: string): void {
    this.#options.say(this.dryRun ? text.replaceAll(/^/gm, "# ") : text);
  }

  /** Waits. */
  async pause(milliseconds: number): Promise<void> {
    if (this.dryRun) return;
    const pause = this.#options.pause ?? ((time) => new Promise((resolve) => setTimeout(resolve, time)));
    await pause(milliseconds);
  }

  /**
   * Runs a command.
   *
   * @throws {AgentError} if the program is missing, or its status is none that is accepted
   */
  async run(command: readonly string[], options: RunOptions = {}): Promise<CommandResult> {
    const { accept = [], dry = 0, hint = "" } = options;
    if (this.dryRun) {
      this.#options.say(`$ ${command.map(quote).join(" ")}`);
      return { code: dry, output: "" };
    }
    const result = await this.#output(command, hint);
    if (result.code === 0 || accept === "any" || accept.includes(result.code)) return result;
    throw new AgentError(
      `Cannot go on: "${command.join(" ")}" ended with ${result.code}: ${
        result.output || "it said nothing"
      }` +
        (hint === "" ? "" : `. ${hint}`),
    );
  }

  async #output([program = "", ...args]: readonly string[], hint: string): Promise<CommandResult> {
    try {
      const { code, stdout, stderr } = await new Deno.Command(program, {
        args,
        env: { ...this.#options.environment },
        stdin: "null",
      }).output();
      const decoder = new TextDecoder();
      return { code, output: (decoder.decode(stderr) + decoder.decode(stdout)).trim() };
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      throw new AgentError(`Cannot run "${program}": it is not here${hint === "" ? "" : `. ${hint}`}`);
    }
  }

  /** Whether a program is there and runs. */
  async has(command: readonly string[]): Promise<boolean> {
    try {
      return (await this.#output(command, "")).code === 0;
    } catch (error) {
      if (error instanceof AgentError) return false;
      throw error;
    }
  }

  /** Writes a text file, whole or not at all; tells whether that changed anything. */
  async write(path: string, text: string): Promise<boolean> {
    if (this.dryRun) {
      this.#options.say(`# ${path}\n${text.trimEnd()}\n`);
      return true;
    }
    if (await readText(path) === text) return false;
    await this.#place(path, 0o644, (temporary) => Deno.writeTextFile(temporary, text));
    return true;
  }

  /** Copies a file, whole or not at all: what runs from the old one goes on. */
  async copy(from: string, to: string, mode: number): Promise<void> {
    if (this.dryRun) {
      this.#options.say(`$ install -m ${mode.toString(8)} ${quote(from)} ${quote(to)}`);
    } else {
      await this.#place(to, mode, (temporary) => Deno.copyFile(from, temporary));
    }
  }

  async #place(path: string, mode: number, write: (temporary: string) => Promise<void>): Promise<void> {
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    const temporary = `${path}.${Deno.pid}.new`;
    try {
      await write(temporary);
      await Deno.chmod(temporary, mode);
      await Deno.rename(temporary, path);
    } catch (error) {
      await Deno.remove(temporary).catch(() => {}); // it may not be there
      throw error;
    }
  }

  /** Removes a file, or a folder with all in it; tells whether there was one. */
  async remove(path: string): Promise<boolean> {
    if (this.dryRun) {
      this.#options.say(`$ rm -rf ${quote(path)}`);
      return true;
    }
    try {
      await Deno.remove(path, { recursive: true });
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  }

  /** Removes a folder if nothing is in it. */
  async removeEmpty(path: string): Promise<void> {
    if (this.dryRun) return this.#options.say(`$ rmdir --ignore-fail-on-non-empty ${quote(path)}`);
    await Deno.remove(path).catch(() => {}); // not there, or others use it
  }

  /** Runs a command that talks to the user itself; its status. */
  async show([program = "", ...args]: readonly string[]): Promise<number> {
    try {
      return (await new Deno.Command(program, { args, env: { ...this.#options.environment } }).spawn().status)
        .code;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      throw new AgentError(`Cannot run "${program}": it is not here`);
    }
  }
}

/** A text file, or nothing if there is none. */
export async function readText(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** A word for the shell. */
function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
