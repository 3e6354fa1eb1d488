/**
 * What must hold after each round, whatever happened in it.
 *
 * @module
 */
import type { ProcessResources } from "../../src/testing/mod.ts";
import { type Actor, ChaosError } from "./actor.ts";
import { BOUND, type Cast, pause } from "./cast.ts";
import { CAST, roleOf } from "./plan.ts";
import type { Told } from "./programs/exclusion.ts";

/** An elected broker holds connections and endpoints of all others, and may be any of them. */
const RESOURCES_OF_A_BROKER = 40;

/** How long descriptors must stay as they are to count as what a process needs, in milliseconds. */
const STEADY = 500;

/** How much is told of what one process saw. */
const MAX_VIOLATIONS = 5;

/** What the survivors had when they were ready, and what was told of the dead. */
export class Invariants {
  readonly #cast: Cast;
  readonly #baselines = new Map<number, ProcessResources>();
  /** Whom each told of that it took a lock over from. */
  readonly #told = new Map<number, Told[]>();

  constructor(cast: Cast) {
    this.#cast = cast;
  }

  /** Checks all of them. */
  async check(): Promise<void> {
    await this.#nobodyEnded();
    await this.#allSeeTheNewest();
    await this.#allGoOn();
    await this.#nothingIsLost();
    await this.#nothingWasViolated();
    await this.#abandonedIsToldOnce();
    await this.#nothingLeaks();
    await this.#resume();
  }

  async #nobodyEnded(): Promise<void> {
    await pause(0);
    for (const actor of this.#cast.actors.values()) {
      if (actor.endedByItself) throw new ChaosError(`${actor.name} ended by itself: ${actor.end}`);
    }
  }

  /** Everybody who lives finds the server again, and misses nothing that it publishes. */
  async #allSeeTheNewest(): Promise<void> {
    const published = await this.#cast.server.call<{ life: number; value: number }>("publish", {}, BOUND);
    await Promise.all(
      this.#cast.of("client").map(async (client) => {
        try {
          await client.call("sees", published, BOUND);
        } catch (error) {
          const seen = await client.call<string[]>("seen", {}, BOUND).catch(() => ["no answer"]);
          throw new ChaosError(
            `${client.name} does not see life ${published.life}, value ${published.value} (it saw ${
              seen.join("; ")
            }): ${(error as Error).message}`,
          );
        }
      }),
    );
  }

  /** Everybody who lives goes on with what it does: is answered, reads frames, gets locks. */
  async #allGoOn(): Promise<void> {
    await Promise.all(
      ["client", "holder", "reader", "taker"].flatMap((role) => this.#cast.of(role)).map(async (actor) => {
        try {
          await actor.call("more", {}, BOUND);
        } catch (error) {
          const turns = await actor.call<string>("turns", {}, BOUND).catch(() => "no answer");
          throw new ChaosError(`${actor.name} does not go on (${turns}): ${(error as Error).message}`);
        }
      }),
    );
  }

  /** While those who live hold nothing, all can be taken: the dead keep neither locks nor slots. */
  async #nothingIsLost(): Promise<void> {
    const resting = [...this.#cast.of("reader"), ...this.#cast.of("taker")];
    await Promise.all(resting.map((actor) => actor.call("rest", {}, BOUND)));
    await this.#cast.server.call("takeAllLocks", {}, BOUND);
    await this.#cast.server.call("takeAllSlots", {}, BOUND);
  }

  async #resume(): Promise<void> {
    const resting = [...this.#cast.of("reader"), ...this.#cast.of("taker"), this.#cast.server];
    await Promise.all(resting.map((actor) => actor.call("resume", {}, BOUND)));
  }

  /** Nobody saw anything that never must be; all is told of that, since one fault may show in several places. */
  async #nothingWasViolated(): Promise<void> {
    const all: string[] = [];
    for (const actor of this.#talking) {
      const violations = await actor.call<string[]>("violations", {}, BOUND);
      all.push(...violations.slice(0, MAX_VIOLATIONS).map((what) => `${actor.name}: ${what}`));
    }
    if (all.length > 0) throw new ChaosError(all.join("\n"));
  }

  /** Whoever died with a lock is told of to one, exactly. */
  async #abandonedIsToldOnce(): Promise<void> {
    const { victims, killed, server } = this.#cast;
    for (const actor of [server, ...this.#cast.of("holder"), ...this.#cast.of("taker")]) {
      this.#told.set(actor.id, await actor.call<Told[]>("told", {}, BOUND));
    }
    const told = [...this.#told.values()].flat().filter(({ holder }) => holder !== 0);
    const times = (id: number, lock: string): number => {
      return told.filter((word) => word.holder === id && word.lock === lock).length;
    };
    for (const { holder, lock } of told) {
      if (times(holder, lock) > 1) {
        throw new ChaosError(`the lock of dead holder ${holder} (${lock}) was told as abandoned twice`);
      }
    }
    // Word is lost where the lock went with its server, or with a second holder that had it told.
    for (const { id, lock, role, server: owner } of victims) {
      const killedOfRole = [...killed].filter((name) => roleOf(name) === role).length;
      if (owner !== server || killedOfRole > 1) continue;
      if (times(id, lock) === 0) {
        throw new ChaosError(`the lock of dead holder ${id} (${lock}) was not told as abandoned to anybody`);
      }
    }
  }

  /** Those who lived through the round have no more than when they were ready. */
  async #nothingLeaks(): Promise<void> {
    await Promise.all(this.#talking.map((actor) => this.#settles(actor)));
  }

  async #settles(actor: Actor): Promise<void> {
    const baseline = this.#baselines.get(actor.id);
    if (baseline === undefined) {
      this.#baselines.set(actor.id, await this.#steady(actor));
      return;
    }
    const slack = this.#slack(actor);
    const end = performance.now() + BOUND;
    for (;;) {
      const now = await this.#resources(actor);
      if (now.descriptors <= baseline.descriptors + slack && now.mappings <= baseline.mappings) return;
      if (performance.now() > end) {
        throw new ChaosError(
          `${actor.name} has ${now.descriptors} descriptors and ${now.mappings} mappings, ` +
            `and had ${baseline.descriptors} and ${baseline.mappings}`,
        );
      }
      await pause(50); // nothing tells when a descriptor is closed
    }
  }

  /** What a process has once that stays the same for a while: doorbells come some time after the connections. */
  async #steady(actor: Actor): Promise<ProcessResources> {
    const end = performance.now() + BOUND;
    let last = await this.#resources(actor);
    for (let since = performance.now(); performance.now() - since < STEADY;) {
      if (performance.now() > end) {
        throw new ChaosError(`${actor.name} opens and closes descriptors all the time`);
      }
      await pause(50);
      const now = await this.#resources(actor);
      if (now.descriptors !== last.descriptors || now.mappings !== last.mappings) since = performance.now();
      last = now;
    }
    return last;
  }

  /** What a process may have beyond its baseline for the others that came to it since. */
  #slack({ name }: Actor): number {
    if (this.#cast.kind === "elected") return RESOURCES_OF_A_BROKER;
    return name === "broker" ? CAST.length : 0; // who has found the server stays away until it needs a broker
  }

  #resources(actor: Actor): Promise<ProcessResources> {
    return actor.call<ProcessResources>("resources", {}, BOUND);
  }

  /** Those who answer calls: the Swift agent does not. */
  get #talking(): Actor[] {
    return [...this.#cast.actors.values()].filter(({ name }) =>
      this.#cast.kind !== "agent" || name !== "broker"
    );
  }
}
