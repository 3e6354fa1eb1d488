/**
 * Other processes for tests: {@linkcode App} is one that runs `app.ts`.
 *
 * @module
 */

import { DEFAULT_SERVICE } from "../../src/broker/release.ts";
import { TextLineStream } from "@std/streams/text-line-stream";

/** An error that another process threw. */
export class RemoteError extends Error {
  constructor(name: string, message: string) {
    super(message);
    this.name = name;
  }
}

/** A name that no other test uses: for services and brokers. */
export function uniqueName(prefix: string): string {
  return `test.${prefix}.${crypto.randomUUID().slice(0, 13)}`;
}

/**
 * The broker to use: one of a test's own, which a process of the test becomes. On macOS only launchd can vend a name:
 * there it is the installed agent, `XPC_SHMEM_TEST_SERVICE` or the usual one.
 */
export function brokerName(): string {
  if (!ownBroker) return Deno.env.get("XPC_SHMEM_TEST_SERVICE") ?? DEFAULT_SERVICE;
  return uniqueName("broker");
}

/** Whether tests can have brokers of their own. */
export const ownBroker: boolean = Deno.build.os === "linux";

/** A process that does what it is told. Killed at the end of its scope if it is still there. */
export class App implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  readonly #reading: Promise<void>;
  #lastId = 0;
  #ended = false;

  constructor(
    script = "app.ts",
    flags = ["-A"],
    environment: Record<string, string> = {},
    descriptors: number | undefined = undefined, // how many it may have
  ) {
    const url = new URL(script, import.meta.url).href;
    const args = ["run", "--quiet", "--no-prompt", ...flags, url];
    const limited = ["-c", `ulimit -n ${descriptors}; exec "$@"`, "sh", Deno.execPath(), ...args];
    this.#process = new Deno.Command(descriptors === undefined ? Deno.execPath() : "sh", {
      args: descriptors === undefined ? args : limited,
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
      env: environment,
    }).spawn();
    this.#writer = this.#process.stdin.getWriter();
    this.#reading = this.#read();
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Calls a function of the app; rejects with what it threw, or when the process ends before. */
  async call<T = unknown>(call: string, parameters: Record<string, unknown> = {}): Promise<T> {
    const id = ++this.#lastId;
    const waiting = Promise.withResolvers<unknown>();
    if (this.#ended) throw new Error(`Cannot call ${call}: the process has ended`);
    this.#waiting.set(id, waiting);
    await this.#writer.write(new TextEncoder().encode(`${JSON.stringify({ id, call, parameters })}\n`));
    return await waiting.promise as T;
  }

  /** Sends SIGKILL, and waits for the end. */
  async kill(signal: Deno.Signal = "SIGKILL"): Promise<Deno.CommandStatus> {
    try {
      this.#process.kill(signal);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it has ended
    }
    return await this.ended();
  }

  /** Waits for the end. */
  async ended(): Promise<Deno.CommandStatus> {
    await this.#reading;
    const status = await this.#process.status;
    await this.#writer.abort().catch(() => {}); // broken with the process
    return status;
  }

  /** Closes its input, upon which it ends in order. */
  async end(): Promise<Deno.CommandStatus> {
    await this.#writer.close().catch(() => {}); // likewise
    return await this.ended();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  async #read(): Promise<void> {
    const text = this.#process.stdout.pipeThrough(new TextDecoderStream());
    for await (const line of text.pipeThrough(new TextLineStream())) {
      const { id, result, error } = JSON.parse(line);
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(result);
      else waiting?.reject(new RemoteError(error.name, error.message));
    }
    this.#ended = true;
    for (const waiting of this.#waiting.values()) {
      waiting.promise.catch(() => {}); // told to who waits, if anybody does
      waiting.reject(new Error("the process ended before it answered"));
    }
  }
}
