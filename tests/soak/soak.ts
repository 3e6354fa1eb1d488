/**
 * A soak: a server and a client under load for a long time, whose use of the system must stay the same.
 *
 * @module
 */
import { testSandbox } from "../../src/testing/mod.ts";
import { Actor } from "../chaos/actor.ts";
import { type Course, courses, type Sample, sample } from "./samples.ts";

/** The longest wait for an answer, in milliseconds: a process that takes longer hangs. */
const BOUND = 60_000;

/** How many samples are taken, and how far apart they are at least, in milliseconds. */
const SAMPLES = 40;
const SHORTEST_INTERVAL = 250;

/** Who is measured. */
const NAMES = ["server", "client", "visitor"] as const;

/** What a soak has found of a process. */
export interface Report {
  readonly name: string;
  readonly courses: readonly Course[];
  /** What it did how often. */
  readonly done: Readonly<Record<string, number>>;
}

/**
 * Runs a soak.
 *
 * @param milliseconds how long
 * @returns a report for each process
 * @throws {Error} if a process hangs, ends by itself, or ends with another exit status than 0
 */
export async function soak(milliseconds: number): Promise<Report[]> {
  await using sandbox = await testSandbox({ prefix: "soak" });
  await using stack = new AsyncDisposableStack();
  let lastId = 0;
  const spawn = (name: string): Actor => {
    const script = new URL(`./programs/${name}.ts`, import.meta.url).href;
    const settings = JSON.stringify({ name: sandbox.name, broker: sandbox.broker });
    const command = [Deno.execPath(), "run", "-A", "--quiet", "--v8-flags=--expose-gc", script, settings];
    const actor = new Actor({ name, id: ++lastId, command, environment: sandbox.environment });
    stack.defer(() => actor.kill());
    return actor;
  };
  const actors: Actor[] = [];
  for (const name of NAMES) {
    const actor = spawn(name);
    await actor.call("ready", {}, BOUND); // the server first: it becomes the broker, too
    actors.push(actor);
  }
  await actors[2]!.call("visit", {}, BOUND);

  const samples = new Map<string, Sample[]>(NAMES.map((name) => [name, []]));
  const interval = Math.max(milliseconds / SAMPLES, SHORTEST_INTERVAL);
  const end = performance.now() + milliseconds;
  while (performance.now() < end) {
    const next = performance.now() + interval;
    await dieWithTheLock(spawn("visitor"));
    // The server rests last: clients wait for what it commits.
    for (const actor of actors.toReversed()) await actor.call("rest", {}, BOUND);
    for (const actor of actors) samples.get(actor.name)!.push(await sample(actor.pid));
    for (const actor of actors) await actor.call("resume", {}, BOUND);
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, next - performance.now())));
  }

  const reports: Report[] = [];
  for (const actor of actors) {
    const done = await actor.call<Record<string, number>>("done", {}, BOUND);
    reports.push({ name: actor.name, courses: courses(samples.get(actor.name)!), done });
  }
  for (const actor of actors.reverse()) {
    const { success } = await actor.finish(BOUND);
    if (!success) throw new Error(`${actor.name} ended with ${actor.end}:\n${actor.lastLines.join("\n")}`);
  }
  return reports;
}

/** What a client held when it was killed must come back, each time. */
async function dieWithTheLock(visitor: Actor): Promise<void> {
  await visitor.call("hold", {}, BOUND);
  await visitor.kill();
}
