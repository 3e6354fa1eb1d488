/**
 * The processes of a run: starts them, disturbs them, starts them again.
 *
 * @module
 */
import { testSandbox } from "../../src/testing/mod.ts";
import { Actor, ChaosError, within } from "./actor.ts";
import { available, restore, starve } from "./limits.ts";
import { type BrokerKind, CAST, type Disturbance, type Role, roleOf } from "./plan.ts";

/** The longest wait for anything, in milliseconds: a process that takes longer hangs. */
export const BOUND = 60_000;

/** How long one may take to get what it is to be killed with; the server may be away just then. */
const HOLD_BOUND = 1000;

/** Who died while it held a lock. */
export interface Victim {
  /** Its number. */
  readonly id: number;
  /** What it held. */
  readonly lock: string;
  /** Which of the cast it was. */
  readonly role: Role;
  /** The server that owned the lock, which must live for word of it to come. */
  readonly server: Actor;
}

/** All that take part, and the directory of their sockets. */
export class Cast implements AsyncDisposable {
  readonly kind: BrokerKind;
  /** Those who died in this round while they held a lock, once for each lock. */
  victims: Victim[] = [];
  /** Who was killed in this round. */
  readonly killed = new Set<string>();
  readonly #actors = new Map<string, Actor>();
  readonly #gone: Actor[] = [];
  /** The processes that have no descriptors just now. */
  readonly #starved = new Set<number>();
  readonly #sandbox: Awaited<ReturnType<typeof testSandbox>>;
  #lastId = 0;

  private constructor(kind: BrokerKind, sandbox: Awaited<ReturnType<typeof testSandbox>>) {
    this.kind = kind;
    this.#sandbox = sandbox;
  }

  /** Starts everybody, and waits until all are connected. */
  static async start(kind: BrokerKind): Promise<Cast> {
    const cast = new Cast(kind, await testSandbox({ prefix: "chaos" }));
    try {
      if (kind !== "elected") {
        cast.#spawn("broker");
        await cast.#ready("broker");
      }
      const others = CAST.filter((name) => name !== "broker");
      for (const name of others) cast.#spawn(name);
      await Promise.all(others.map((name) => cast.#ready(name)));
      return cast;
    } catch (error) {
      await cast[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Everybody, by name. */
  get actors(): ReadonlyMap<string, Actor> {
    return this.#actors;
  }

  /** All of a role. */
  of(role: string): Actor[] {
    return [...this.#actors.values()].filter(({ name }) => roleOf(name) === role);
  }

  /** The server. */
  get server(): Actor {
    return this.#actors.get("server")!;
  }

  /** All that is to happen in a round, and the restarts that follow. */
  async disturb(plan: readonly Disturbance[]): Promise<void> {
    this.victims = [];
    this.killed.clear();
    const begin = performance.now();
    const running = plan.map(async (disturbance) => {
      await pause(disturbance.at - (performance.now() - begin));
      await this.#disturb(disturbance);
    });
    await Promise.all(running);
    await Promise.all([...this.#actors.keys()].map((name) => this.#ready(name)));
  }

  /** Ends everybody in order, the broker last. */
  async finish(): Promise<void> {
    const order = [...this.#actors.values()].reverse();
    for (const actor of order) {
      if (this.kind === "agent" && actor.name === "broker") actor.signal("SIGTERM");
      const { code, signal } = await actor.finish(BOUND);
      if (code !== 0 || signal !== null) {
        throw new ChaosError(`${actor.name} ended in order with ${actor.end}`);
      }
    }
  }

  /** The last words of each process, of those that are gone too. */
  get lastLines(): string {
    return [...this.#gone.slice(-6), ...this.#actors.values()].map((actor) => {
      const lines = actor.lastLines.map((line) => `    ${line}`).join("\n");
      return `  ${actor.name}, process ${actor.pid}, ${actor.end}:\n${lines}`;
    }).join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#actors.values()].map((actor) => actor.kill()));
    await this.#sandbox.close();
  }

  #spawn(name: string): void {
    const { name: service, broker, environment } = this.#sandbox;
    const id = ++this.#lastId;
    let command: string[];
    if (name === "broker" && this.kind === "agent") {
      command = [...Deno.env.get("XPC_SHMEM_AGENT")!.split(/\s+/), "--service", broker.service!];
    } else {
      const script = new URL(`./programs/${roleOf(name)}.ts`, import.meta.url).href;
      const settings = { name: service, id, broker: { ...broker, embedded: this.kind === "elected" } };
      command = [Deno.execPath(), "run", "-A", "--quiet", "--no-prompt", script, JSON.stringify(settings)];
    }
    this.#actors.set(name, new Actor({ name, command, environment, id }));
  }

  async #ready(name: string): Promise<void> {
    if (name === "broker" && this.kind === "agent") return; // who needs it waits for it
    await this.#actors.get(name)!.call("ready", {}, BOUND);
  }

  async #disturb({ to, kind, lasts }: Disturbance): Promise<void> {
    const actor = this.#actors.get(to)!;
    if (kind.startsWith("kill") && this.killed.has(to)) return; // once in a round is enough
    switch (kind) {
      case "kill":
        return await this.#replace(actor, lasts);
      case "kill-holding": {
        this.killed.add(to);
        const server = this.server;
        const held = await actor.call<string[]>("hold", {}, HOLD_BOUND).catch(() => []);
        for (const lock of held) this.victims.push({ id: actor.id, lock, role: roleOf(to), server });
        return await this.#replace(actor, lasts);
      }
      case "stop":
        actor.signal("SIGSTOP");
        await pause(lasts);
        return actor.signal("SIGCONT");
      case "exhaust": {
        // Deno itself cannot begin without descriptors; whoever is killed before it has begun needs none.
        if (!available || !await this.#ready(to).then(() => true, () => false)) return;
        if (this.#starved.has(actor.pid)) return; // its limit, as it is now, is not the one to give back
        this.#starved.add(actor.pid);
        const limit = await starve(actor.pid);
        await pause(lasts);
        await restore(actor.pid, limit);
        return void this.#starved.delete(actor.pid);
      }
      case "slow":
        // Whoever is killed meanwhile need not answer.
        return await actor.call<void>("slow", { milliseconds: lasts }, BOUND).catch((error) => {
          if (!this.killed.has(to)) throw error;
        });
    }
  }

  /** Kills one, and starts another in its place some time later. */
  async #replace(actor: Actor, after: number): Promise<void> {
    this.killed.add(actor.name);
    await within(actor.kill(), BOUND, `${actor.name} does not die`);
    await pause(after);
    this.#gone.push(actor);
    this.#spawn(actor.name);
  }
}

/** A pause; below 0 it is over. */
export async function pause(milliseconds: number): Promise<void> {
  if (milliseconds > 0) await new Promise((resolve) => setTimeout(resolve, milliseconds));
}
