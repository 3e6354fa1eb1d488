/**
 * The processes that are measured, as the one sees them that conducts.
 *
 * @module
 */
import { TextLineStream } from "@std/streams/text-line-stream";
import type { Setting } from "./party.ts";

const running = new Set<Deno.ChildProcess>();

/** Kills all that runs still: nobody is to spin on after the bench. */
export function killAll(): void {
  for (const process of running) {
    try {
      process.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it has ended
    }
  }
}

/** A name that no other run has. */
export function uniqueName(purpose: string): string {
  return `xpc-shmem.bench.${purpose}.${crypto.randomUUID().slice(0, 8)}`;
}

/** A process that serves or connects and does exercises. */
export class Process implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;

  private constructor(role: string, setting: Setting, processor: number | undefined) {
    const script = new URL("./party_main.ts", import.meta.url).href;
    const deno = ["run", "-A", "--quiet", "--no-check", script, role, JSON.stringify(setting)];
    const pinned = processor !== undefined;
    this.#process = new Deno.Command(pinned ? "taskset" : Deno.execPath(), {
      args: pinned ? ["-c", String(processor), Deno.execPath(), ...deno] : deno,
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    running.add(this.#process);
    this.#lines = this.#process.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())
      .getReader();
    this.#input = this.#process.stdin.getWriter();
  }

  /** Starts one; resolves when it serves, or has connected. */
  static async start(
    role: "server" | "client",
    setting: Setting,
    processor?: number,
  ): Promise<Process> {
    const process = new Process(role, setting, processor);
    await process.#answer("start");
    return process;
  }

  /** Has it do an exercise. */
  async call<T>(call: string, parameters: unknown = {}): Promise<T> {
    await this.#input.write(new TextEncoder().encode(`${JSON.stringify({ call, parameters })}\n`));
    return await this.#answer(call) as T;
  }

  /** `kill -9`. */
  kill(): void {
    this.#process.kill("SIGKILL");
  }

  async #answer(doing: string): Promise<unknown> {
    const { value } = await this.#lines.read();
    if (value === undefined) throw new Error(`Cannot ${doing}: the process ended`);
    const { result, error } = JSON.parse(value) as { result?: unknown; error?: string };
    if (error !== undefined) throw new Error(`Cannot ${doing}: ${error}`);
    return result;
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {}); // it is gone
    await this.#lines.cancel();
    await this.#process.status;
    running.delete(this.#process);
  }
}

/** A server and its client. */
export class Pair implements AsyncDisposable {
  /** What both were told, for others that join them. */
  readonly setting: Setting;
  /** The process that serves. */
  readonly server: Process;
  /** The process that connected to it. */
  readonly client: Process;

  private constructor(setting: Setting, server: Process, client: Process) {
    this.setting = setting;
    this.server = server;
    this.client = client;
  }

  /** Starts both, with these regions open in both, and streams and channels that the server has. */
  static async start(
    regions: Readonly<Record<string, number>>,
    processors?: readonly [number, number],
    streams: Setting["streams"] = {},
    channels: Setting["channels"] = {},
  ): Promise<Pair> {
    const setting: Setting = {
      name: uniqueName("service"),
      broker: uniqueName("broker"),
      regions,
      streams,
      channels,
    };
    const server = await Process.start("server", setting, processors?.[0]);
    try {
      return new Pair(setting, server, await Process.start("client", setting, processors?.[1]));
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Has each do its part at the same time; tells them the revisions to begin at, gives what they said. */
  async both<S, C = unknown>(server: string, client: string, parameters: object = {}): Promise<[S, C]> {
    const revisions = await this.server.call("revisions");
    const together = { ...parameters, revisions };
    return await Promise.all([
      this.server.call<S>(server, together),
      this.client.call<C>(client, together),
    ]);
  }

  /** Ends both. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.client[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
  }
}
