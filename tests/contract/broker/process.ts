/** Lines of a child process, and its end: what the tests wait for. */
import { assert } from "@std/assert";

/** A child process whose output is read by lines. */
export class Child implements AsyncDisposable {
  readonly pid: number;
  /** Its status, once it has ended. */
  readonly status: Promise<Deno.CommandStatus>;
  readonly #child: Deno.ChildProcess;
  readonly #lines: Record<"stdout" | "stderr", Lines>;

  /** Starts `command`, with `environment` on top of this process's own. */
  constructor(command: readonly string[], environment: Record<string, string> = {}) {
    const [program, ...args] = command;
    assert(program !== undefined, "a command has a program");
    this.#child = new Deno.Command(program, {
      args,
      env: environment,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.pid = this.#child.pid;
    this.status = this.#child.status;
    this.#lines = { stdout: new Lines(this.#child.stdout), stderr: new Lines(this.#child.stderr) };
  }

  /** The next line that matches, once it is there. Fails, with all that was said, when the output ends before. */
  async line(stream: "stdout" | "stderr", pattern: RegExp): Promise<string> {
    const line = await this.#lines[stream].next(pattern);
    if (line !== undefined) return line;
    const said = [...this.#lines.stdout.seen, ...this.#lines.stderr.seen].join("\n");
    throw new Error(`Cannot find ${pattern} in what process ${this.pid} says:\n${said}`);
  }

  /** The next line of its standard output, which is JSON. */
  async json(): Promise<Record<string, unknown>> {
    return JSON.parse(await this.line("stdout", /^\{/));
  }

  /** Sends a signal, and waits for the end of the process. */
  async end(signal: Deno.Signal): Promise<Deno.CommandStatus> {
    try {
      this.#child.kill(signal);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it has ended
    }
    const status = await this.status;
    await Promise.all([this.#lines.stdout.done, this.#lines.stderr.done]);
    return status;
  }

  /** Kills it where it still runs. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.end("SIGKILL");
  }
}

/** The lines of a stream, kept until somebody asks for them. */
class Lines {
  /** All lines so far. */
  readonly seen: string[] = [];
  /** Resolves at the end of the stream. */
  readonly done: Promise<void>;
  #taken = 0;
  #ended = false;
  #more = Promise.withResolvers<void>();

  constructor(stream: ReadableStream<Uint8Array>) {
    this.done = this.#read(stream);
  }

  async next(pattern: RegExp): Promise<string | undefined> {
    for (;;) {
      while (this.#taken < this.seen.length) {
        const line = this.seen[this.#taken++]!;
        if (pattern.test(line)) return line;
      }
      if (this.#ended) return undefined;
      await this.#more.promise;
    }
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of stream) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      this.seen.push(...lines);
      this.#wake();
    }
    if (rest !== "") this.seen.push(rest);
    this.#ended = true;
    this.#wake();
  }

  #wake(): void {
    this.#more.resolve();
    this.#more = Promise.withResolvers<void>();
  }
}
