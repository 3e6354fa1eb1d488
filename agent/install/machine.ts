import type { Platform } from "./arguments.ts";

/** Thrown when the broker cannot be installed, removed or asked; the message says what to do. */
export class AgentError extends Error {
  /** @param message what could not be done, why, and what to do */
  constructor(message: string) {
    super(message);
    this.name = "AgentError";
  }
}

/** The result of a command. */
export interface CommandResult {
  /** Its exit status. */
  readonly code: number;
  /** Its output, of both streams. */
  readonly output: string;
}

/** Options of {@linkcode Machine.run}. */
export interface RunOptions {
  /** Exit statuses besides 0 that are not failures. */
  readonly accept?: readonly number[] | "any";
  /** The exit status to assume in a dry run. */
  readonly dry?: number;
  /** What the user can do if the program is missing or fails. */
  readonly hint?: string;
}

/** Options of {@linkcode Machine}. */
export interface MachineOptions {
  readonly platform: Platform;
  readonly home: string;
  readonly uid: number;
  /** Whether to print what would be done, and do nothing. */
  readonly dryRun: boolean;
  /** The environment of the commands. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Prints a text for the user. */
  readonly say: (text: string) => void;
  /** Pauses for some milliseconds. Tests need not wait. */
  readonly pause?: (milliseconds: number) => Promise<void>;
}

/** The machine that a broker is installed on. All changes of files and all commands go through it. */
export class Machine {
  readonly platform: Platform;
  readonly home: string;
  readonly uid: number;
  readonly dryRun: boolean;
  readonly #options: MachineOptions;

  /** @param options the platform, the user, and whether to change anything */
  constructor(options: MachineOptions) {
    ({ platform: this.platform, home: this.home, uid: this.uid, dryRun: this.dryRun } = options);
    this.#options = options;
  }

  /** Prints a text for the user. */
  say(text: string): void {
    this.#options.say(this.dryRun ? text.replaceAll(/^/gm, "# ") : text);
  }

  /** Pauses for some milliseconds. */
  async pause(milliseconds: number): Promise<void> {
    if (this.dryRun) return;
    const pause = this.#options.pause ?? ((time) => new Promise((resolve) => setTimeout(resolve, time)));
    await pause(milliseconds);
  }

  /**
   * Runs a command.
   *
   * @throws {AgentError} if the program is missing, or its exit status is not accepted
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
      `Cannot go on: "${command.join(" ")}" ended with status ${result.code}: ${
        result.output || "it printed nothing"
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
      throw new AgentError(`Cannot run "${program}": it is not installed${hint === "" ? "" : `. ${hint}`}`);
    }
  }

  /** Whether a program is installed and succeeds. */
  async has(command: readonly string[]): Promise<boolean> {
    try {
      return (await this.#output(command, "")).code === 0;
    } catch (error) {
      if (error instanceof AgentError) return false;
      throw error;
    }
  }

  /** Writes a text file, whole or not at all; whether that changed anything. */
  async write(path: string, text: string): Promise<boolean> {
    if (this.dryRun) {
      this.#options.say(`# ${path}\n${text.trimEnd()}\n`);
      return true;
    }
    if (await readText(path) === text) return false;
    await this.#place(path, 0o644, (temporary) => Deno.writeTextFile(temporary, text));
    return true;
  }

  /** Copies a file, whole or not at all. A process that runs the old file continues. */
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
      await Deno.remove(temporary).catch(() => {}); // it may not exist
      throw error;
    }
  }

  /** Removes a file, or a folder with its content; whether there was one. */
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

  /** Removes a folder if it is empty. */
  async removeEmpty(path: string): Promise<void> {
    if (this.dryRun) return this.#options.say(`$ rmdir --ignore-fail-on-non-empty ${quote(path)}`);
    await Deno.remove(path).catch(() => {}); // missing, or in use for other services
  }

  /** Runs a command that prints to the user's terminal; its exit status. */
  async show([program = "", ...args]: readonly string[]): Promise<number> {
    try {
      return (await new Deno.Command(program, { args, env: { ...this.#options.environment } }).spawn().status)
        .code;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      throw new AgentError(`Cannot run "${program}": it is not installed`);
    }
  }
}

/** Reads a text file; `undefined` if there is none. */
export async function readText(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Quotes a word for the shell. */
function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
