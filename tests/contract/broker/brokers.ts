/** The brokers that the contract is tried on, as processes. */
import { serviceSocketPath } from "../../support/socket_path.ts";
import { Connection, ConnectionError } from "../../../src/xpc/mod.ts";
import { Child } from "./process.ts";

/** An implementation of the protocol. */
export interface BrokerKind {
  /** What it calls itself in the reply to hello. */
  readonly name: "embedded" | "swift";
  /** How to start it, without `--service`; nothing if it is not here. */
  readonly command: readonly string[] | undefined;
}

const main = decodeURIComponent(new URL("../../../agent/main.ts", import.meta.url).pathname);

/** The embedded broker. */
export const EMBEDDED: BrokerKind = {
  name: "embedded",
  command: [Deno.execPath(), "run", "-A", main, "run"],
};

/** The Swift agent, where the environment says how to start it. */
export const SWIFT: BrokerKind = {
  name: "swift",
  command: Deno.env.get("XPC_SHMEM_AGENT")?.split(/\s+/).filter((word) => word !== ""),
};

let services = 0;

/** A name for a service that no other test has. */
export function uniqueService(): string {
  return `io.jsr.xpc.shmem.test-${Deno.pid}-${++services}`;
}

/** A broker in a process of its own, under a name of its own. */
export class BrokerProcess implements AsyncDisposable {
  /** The name of its service. */
  readonly service: string;
  /** Which one it is. */
  readonly kind: BrokerKind;
  readonly #child: Child;
  readonly #ownsName: boolean;

  private constructor(kind: BrokerKind, service: string, child: Child, ownsName: boolean) {
    this.kind = kind;
    this.service = service;
    this.#child = child;
    this.#ownsName = ownsName;
  }

  /** Starts one, and waits until it answers. A name that is given is the caller's to clean up. */
  static async start(kind: BrokerKind, service?: string): Promise<BrokerProcess> {
    const name = service ?? uniqueService();
    const child = new Child([...kind.command ?? [], "--service", name]);
    const broker = new BrokerProcess(kind, name, child, service === undefined);
    try {
      await child.line("stderr", /starts as/);
      await answers(name);
    } catch (error) {
      await broker[Symbol.asyncDispose]();
      throw error;
    }
    return broker;
  }

  /** Its process. */
  get pid(): number {
    return this.#child.pid;
  }

  /** Its status, once it has ended. */
  get status(): Promise<Deno.CommandStatus> {
    return this.#child.status;
  }

  /** Sends a signal and waits for the end. */
  end(signal: Deno.Signal): Promise<Deno.CommandStatus> {
    return this.#child.end(signal);
  }

  /** Sends a signal only. */
  signal(signal: Deno.Signal): void {
    Deno.kill(this.#child.pid, signal);
  }

  /** Kills it and removes what it leaves: after `kill -9`, a socket and a lock file. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]();
    if (this.#ownsName) removeTraces(this.service);
  }
}

/** Removes the socket and the lock file of a service that nobody runs any more. */
export function removeTraces(service: string): void {
  const socket = serviceSocketPath(service);
  for (const path of [socket, socket.replace(/\.sock$/, ".lock")]) {
    try {
      Deno.removeSync(path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

/** Resolves when the service answers hello: it listens a moment after it says that it starts. */
export async function answers(service: string): Promise<void> {
  const until = AbortSignal.timeout(30_000);
  for (;;) {
    until.throwIfAborted();
    await using connection = await Connection.toService(service);
    try {
      await connection.request({ op: "hello", min: 1n, max: 1n }, { signal: until });
      return;
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 5)); // nothing tells when a socket appears
    }
  }
}
