import { Int64, type XpcRecord } from "../xpc/mod.ts";
import type { Endpoint } from "../xpc/endpoint.ts";
import { LIMITS, Refusal } from "./protocol.ts";

/** How many generations of names that nobody serves are remembered; beyond it the clock has to do. */
const REMEMBERED = 65_536;

/** A lookup that waits. */
export interface Waiting<Peer> {
  readonly name: string;
  readonly peer: Peer;
  /** The peer's own number for it, or 0. */
  readonly id: bigint;
  readonly after: number;
  readonly answer: (reply: XpcRecord) => void;
}

/** Who serves a name. */
export interface Registration<Peer> {
  readonly name: string;
  readonly generation: number;
  readonly endpoint: Endpoint;
  readonly peer: Peer;
  readonly pid: number;
  readonly since: Date;
}

/** What the registry tells of: the broker sends it to watchers and to those who were replaced. */
export interface RegistryEvents<Peer> {
  registered(registration: Registration<Peer>): void;
  unregistered(registration: Registration<Peer>): void;
  replaced(registration: Registration<Peer>, by: Registration<Peer>): void;
}

/** What a registration looks like to those who look it up. */
export function found<Peer>(registration: Registration<Peer>): XpcRecord {
  return {
    generation: BigInt(registration.generation),
    endpoint: registration.endpoint,
    pid: new Int64(BigInt(registration.pid)),
  };
}

/** Who serves what, and who waits for it. */
export class Registry<Peer> {
  readonly #events: RegistryEvents<Peer>;
  readonly #services = new Map<string, Registration<Peer>>();
  readonly #owned = new Map<Peer, number>();
  readonly #waiting = new Map<string, Set<Waiting<Peer>>>();
  readonly #waitingOf = new Map<Peer, Set<Waiting<Peer>>>();
  /** The last generation of each name that was ever registered here. */
  readonly #generations = new Map<string, number>();

  /** @param events who is told */
  constructor(events: RegistryEvents<Peer>) {
    this.#events = events;
  }

  /** How many names are registered. */
  get size(): number {
    return this.#services.size;
  }

  /** How many lookups wait. */
  get waiting(): number {
    let count = 0;
    for (const lookups of this.#waitingOf.values()) count += lookups.size;
    return count;
  }

  /** Who serves a name. */
  get(name: string): Registration<Peer> | undefined {
    return this.#services.get(name);
  }

  /** All registrations, by the bytes of their names. */
  list(): Registration<Peer>[] {
    return [...this.#services.values()].sort((a, b) => a.name < b.name ? -1 : 1);
  }

  /** Registers a name, in place of whoever holds it. Takes the endpoint over. */
  register(peer: Peer, name: string, endpoint: Endpoint, pid: number, after: number): Registration<Peer> {
    const before = this.#services.get(name);
    const owned = this.#owned.get(peer) ?? 0;
    if (before?.peer !== peer && owned >= LIMITS.registrations) throw new Refusal("limit");
    const now = Date.now() * 1000;
    const generation = Math.max((this.#generations.get(name) ?? 0) + 1, after + 1, now);
    if (generation > Number.MAX_SAFE_INTEGER) throw new Refusal("limit");
    const registration = { name, generation, endpoint, peer, pid, since: new Date() };
    this.#generations.set(name, generation);
    if (before !== undefined) this.#take(before);
    this.#services.set(name, registration);
    this.#owned.set(peer, (this.#owned.get(peer) ?? 0) + 1);
    if (before !== undefined) {
      this.#events.unregistered(before);
      if (before.peer !== peer) this.#events.replaced(before, registration);
    }
    this.#events.registered(registration);
    for (const lookup of this.#waiting.get(name) ?? []) {
      if (generation <= lookup.after) continue;
      this.#forget(lookup);
      lookup.answer({ ok: true, ...found(registration) });
    }
    this.#prune(now);
    return registration;
  }

  /** Answers when the name has a generation above `after`. */
  wait(lookup: Waiting<Peer>): void {
    const { name, peer } = lookup;
    const mine = this.#waitingOf.get(peer) ?? new Set();
    if (lookup.id !== 0n && [...mine].some(({ id }) => id === lookup.id)) {
      throw new Refusal("bad_request", {}, "id");
    }
    if (mine.size >= LIMITS.waiting) throw new Refusal("limit");
    this.#waitingOf.set(peer, mine.add(lookup));
    const lookups = this.#waiting.get(name) ?? new Set();
    this.#waiting.set(name, lookups.add(lookup));
  }

  /** Takes the lookup of this number out of those that wait. */
  cancel(peer: Peer, id: bigint): Waiting<Peer> | undefined {
    if (id === 0n) return undefined;
    for (const lookup of this.#waitingOf.get(peer) ?? []) {
      if (lookup.id !== id) continue;
      this.#forget(lookup);
      return lookup;
    }
    return undefined;
  }

  /** Removes a registration. */
  unregister(registration: Registration<Peer>): void {
    this.#remove(registration);
  }

  /** Removes all that a peer had, in the order of registration. */
  leave(peer: Peer): void {
    for (const lookup of this.#waitingOf.get(peer) ?? []) this.#forget(lookup);
    if (!this.#owned.has(peer)) return;
    for (const registration of [...this.#services.values()]) {
      if (registration.peer === peer) this.#remove(registration);
    }
  }

  /** Answers all lookups that wait. */
  answerAll(reply: XpcRecord): void {
    for (const lookups of this.#waitingOf.values()) {
      for (const lookup of lookups) lookup.answer(reply);
    }
    this.#waiting.clear();
    this.#waitingOf.clear();
  }

  /** Gives up every endpoint. */
  clear(): void {
    for (const { endpoint } of this.#services.values()) endpoint[Symbol.dispose]();
    this.#services.clear();
    this.#owned.clear();
  }

  #remove(registration: Registration<Peer>): void {
    this.#take(registration);
    this.#events.unregistered(registration);
  }

  #take(registration: Registration<Peer>): void {
    this.#services.delete(registration.name);
    const owned = (this.#owned.get(registration.peer) ?? 1) - 1;
    if (owned === 0) this.#owned.delete(registration.peer);
    else this.#owned.set(registration.peer, owned);
    registration.endpoint[Symbol.dispose]();
  }

  /** Forgets names that nobody serves, when there are too many, whose generations the clock has passed. */
  #prune(now: number): void {
    if (this.#generations.size <= REMEMBERED) return;
    for (const [name, generation] of this.#generations) {
      if (generation < now && !this.#services.has(name)) this.#generations.delete(name);
    }
    if (this.#generations.size <= REMEMBERED) return;
    // Nobody asks for this many generations from the future in good faith.
    for (const name of this.#generations.keys()) {
      if (!this.#services.has(name)) this.#generations.delete(name);
    }
  }

  #forget(lookup: Waiting<Peer>): void {
    const { name } = lookup;
    const lookups = this.#waiting.get(name);
    lookups?.delete(lookup);
    if (lookups?.size === 0) this.#waiting.delete(name);
    const mine = this.#waitingOf.get(lookup.peer);
    mine?.delete(lookup);
    if (mine?.size === 0) this.#waitingOf.delete(lookup.peer);
  }
}
