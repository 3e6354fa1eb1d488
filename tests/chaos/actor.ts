/**
 * A process of the cast: what it is told, what it says, and how it ends.
 *
 * @module
 */
import { TextLineStream } from "@std/streams/text-line-stream";

/** How many lines are kept of each process, for the report of a failure. */
const KEPT_LINES = 12;

/** An invariant that does not hold. */
export class ChaosError extends Error {
  override name = "ChaosError";
}

/** How a process is started. */
export interface ActorOptions {
  readonly name: string;
  /** Its number: another for each process of a run. */
  readonly id: number;
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/** A process that answers calls as in `tests/support/calls.ts`, and keeps its last words. */
export class Actor {
  readonly name: string;
  readonly id: number;
  readonly pid: number;
  /** How it ended, once it has. */
  readonly status: Promise<Deno.CommandStatus>;
  readonly #process: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  readonly #reading: Promise<unknown>;
  readonly #lines: string[] = [];
  #lastId = 0;
  #ended: Deno.CommandStatus | undefined;
  #killed = false;

  constructor({ name, id, command: [program, ...args], environment }: ActorOptions) {
    this.name = name;
    this.id = id;
    this.#process = new Deno.Command(program!, {
      args,
      env: { ...environment, NO_COLOR: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.pid = this.#process.pid;
    this.#writer = this.#process.stdin.getWriter();
    this.#reading = Promise.all([
      this.#read(this.#process.stdout, (line) => this.#answer(line)),
      this.#read(this.#process.stderr, () => {}),
    ]);
    this.status = this.#process.status.then(async (status) => {
      this.#ended = status;
      await this.#reading;
      await this.#writer.abort().catch(() => {}); // broken with the process
      for (const { reject } of this.#waiting.values()) reject(new ChaosError(`${this.name} has ended`));
      this.#waiting.clear();
      return status;
    });
  }

  /** What it said last. */
  get lastLines(): readonly string[] {
    return this.#lines;
  }

  /** Whether it ended though nobody killed it. */
  get endedByItself(): boolean {
    return this.#ended !== undefined && !this.#killed;
  }

  /** How it ended, in words. */
  get end(): string {
    if (this.#ended === undefined) return "it runs";
    return this.#ended.signal === null ? `exit status ${this.#ended.code}` : `${this.#ended.signal}`;
  }

  /**
   * Calls a function of the process.
   *
   * @throws {ChaosError} when it does not answer in time: it hangs
   */
  async call<T>(call: string, parameters: Record<string, unknown>, bound: number): Promise<T> {
    if (this.#ended !== undefined) throw new ChaosError(`${this.name} has ended: ${this.end}`);
    const id = ++this.#lastId;
    const waiting = Promise.withResolvers<unknown>();
    this.#waiting.set(id, waiting);
    this.#keep(`was called: ${call}`);
    const line = JSON.stringify({ id, call, parameters });
    this.#writer.write(new TextEncoder().encode(`${line}\n`)).catch(() => {}); // its end is told by its status
    return await within(waiting.promise, bound, `${this.name} does not answer "${call}"`) as T;
  }

  /** Sends a signal; nothing happens to a process that has ended. */
  signal(signal: Deno.Signal): void {
    try {
      this.#process.kill(signal);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
  }

  /** Kills it, and waits for that. */
  async kill(): Promise<void> {
    if (this.#ended === undefined) this.#killed = true;
    this.signal("SIGKILL");
    await this.status;
  }

  /** Closes its input, upon which it ends in order. */
  async finish(bound: number): Promise<Deno.CommandStatus> {
    await this.#writer.close().catch(() => {}); // likewise
    return await within(this.status, bound, `${this.name} does not end`);
  }

  async #read(stream: ReadableStream<Uint8Array>, take: (line: string) => void): Promise<void> {
    for await (const line of stream.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())) {
      if (!line.startsWith("{")) this.#keep(line); // answers to calls are told to who called
      take(line);
    }
  }

  /** Keeps a line, once if it comes several times in a row. */
  #keep(line: string): void {
    if (this.#lines.at(-1) === line) return;
    this.#lines.push(line);
    if (this.#lines.length > KEPT_LINES) this.#lines.shift();
  }

  #answer(line: string): void {
    if (!line.startsWith("{")) return;
    const { id, result, error } = JSON.parse(line);
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(result);
    else waiting?.reject(new ChaosError(`${this.name}: ${error.name}: ${error.message}`));
  }
}

/** The promise, or an error if it takes longer than the bound: a hang detector, not a test of speed. */
export async function within<T>(promise: Promise<T>, bound: number, what: string): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new ChaosError(`${what} within ${bound} ms`)), bound);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
