import { TextLineStream } from "@std/streams/text-line-stream";

/** How long a process may take to carry out a command, in milliseconds. Large regions take seconds. */
const TIMEOUT = 60_000;

/** All processes that run. None may outlive the demo. */
const running = new Set<Child<Record<never, never>, never>>();

/** Kills all processes that are left. */
export function killAll(): void {
  for (const child of running) child.kill();
}

/**
 * A process of the demo.
 *
 * @typeParam E its events, by name
 * @typeParam C the commands it takes
 */
export class Child<E extends object, C> {
  /** Its role, for errors. */
  readonly role: string;
  /** Resolves when it has ended, in any way. */
  readonly ended: Promise<Deno.CommandStatus>;
  readonly #process: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  /** Events that came and that nobody has waited for yet. */
  readonly #events = new Map<PropertyKey, unknown[]>();
  readonly #latest = new Map<PropertyKey, unknown>();
  readonly #waiters = new Map<PropertyKey, (values: unknown) => void>();

  /**
   * Starts a script of this folder.
   *
   * @param role its name without extension
   * @param args its arguments
   * @returns the process
   */
  static startScript<E extends object, C>(role: string, args: readonly string[]): Child<E, C> {
    const script = new URL(`${role}.ts`, import.meta.url).href;
    return Child.start<E, C>(role, Deno.execPath(), ["run", "-A", "--quiet", script, ...args]);
  }

  /**
   * Starts a program.
   *
   * @throws {Deno.errors.NotFound} if there is none
   */
  static start<E extends object, C>(role: string, command: string, args: readonly string[]): Child<E, C> {
    const program = new Deno.Command(command, {
      args: [...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    });
    return new Child<E, C>(role, program.spawn());
  }

  private constructor(role: string, process: Deno.ChildProcess) {
    this.role = role;
    this.#process = process;
    this.#input = process.stdin.getWriter();
    running.add(this);
    const read = this.#read();
    this.ended = process.status.then(async (status) => {
      running.delete(this);
      await read;
      await this.#input.close().catch(() => {}); // the process is gone
      return status;
    });
  }

  /** The process. */
  get pid(): number {
    return this.#process.pid;
  }

  /** Sends a command. A dead process loses it; `next()` reports the death. */
  tell(command: C): void {
    const line = new TextEncoder().encode(`${JSON.stringify(command)}\n`);
    this.#input.write(line).catch(() => {});
  }

  /**
   * Waits for the next event of a kind, or takes one that came before.
   *
   * @throws {Error} if the process ends instead, or takes too long
   */
  async next<K extends keyof E>(event: K): Promise<E[K]> {
    const known = this.#events.get(event)?.shift();
    if (known !== undefined) return known as E[K];
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#waiters.set(event, resolve);
    const timer = setTimeout(() => {
      reject(
        new Error(`Cannot go on: the ${this.role} does not tell "${String(event)}" within ${TIMEOUT} ms`),
      );
    }, TIMEOUT);
    void this.ended.then(({ code, signal }) => {
      reject(
        new Error(
          `Cannot go on: the ${this.role} ended (${signal ?? `code ${code}`}), want "${String(event)}"`,
        ),
      );
    });
    try {
      return await promise as E[K];
    } finally {
      clearTimeout(timer);
      this.#waiters.delete(event);
    }
  }

  /** The newest event of a kind, if there was one. */
  latest<K extends keyof E>(event: K): E[K] | undefined {
    return this.#latest.get(event) as E[K] | undefined;
  }

  /** `kill -9`. */
  kill(): void {
    try {
      this.#process.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError || error instanceof Deno.errors.NotFound)) throw error; // it has ended
    }
  }

  /**
   * Waits until it has ended by itself.
   *
   * @throws {Error} if it failed
   */
  async success(): Promise<void> {
    const { success, code, signal } = await this.ended;
    if (!success) {
      throw new Error(`Cannot trust this run: the ${this.role} ended (${signal ?? `code ${code}`})`);
    }
  }

  async #read(): Promise<void> {
    for await (
      const line of this.#process.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(
        new TextLineStream(),
      )
    ) {
      if (!line.startsWith("{")) continue; // other output of an agent
      const { event, ...values } = JSON.parse(line) as { event: string };
      this.#latest.set(event, values);
      const waiter = this.#waiters.get(event);
      if (waiter !== undefined) {
        this.#waiters.delete(event);
        waiter(values);
      } else if (event !== "progress") {
        this.#events.set(event, [...this.#events.get(event) ?? [], values]);
      }
    }
  }
}
