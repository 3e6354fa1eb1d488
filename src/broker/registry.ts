import { Int64, type XpcRecord } from "../xpc/mod.ts";
import type { Endpoint } from "../xpc/endpoint.ts";
import { LIMITS, Refusal } from "./protocol.ts";

/** How many generations are kept for names that nobody serves. For others the clock gives a higher generation. */
const MAX_REMEMBERED = 65_536;

/** A lookup that waits. */
export interface Waiting<Peer> {
  readonly name: string;
  readonly peer: Peer;
  /** The number that the peer gave to the lookup, or 0. */
  readonly id: bigint;
  readonly after: number;
  readonly answer: (reply: XpcRecord) => void;
}

/** The registration of a name. */
export interface Registration<Peer> {
  readonly name: string;
  readonly generation: number;
  readonly endpoint: Endpoint;
  readonly peer: Peer;
  readonly pid: number;
  readonly since: Date;
}

/** Receives the changes of a registry. */
export interface RegistryEvents<Peer> {
  /** A name was registered. */
  registered(registration: Registration<Peer>): void;
  /** A registration ended. */
  unregistered(registration: Registration<Peer>): void;
  /** Another peer took the name over. */
  replaced(registration: Registration<Peer>, by: Registration<Peer>): void;
}

/** The fields that tell a peer of a registration. */
export function describeRegistration<Peer>(registration: Registration<Peer>): XpcRecord {
  return {
    generation: BigInt(registration.generation),
    endpoint: registration.endpoint,
    pid: new Int64(BigInt(registration.pid)),
  };
}

/** The registrations of a broker, and the lookups that wait for one. */
export class Registry<Peer> {
  readonly #events: RegistryEvents<Peer>;
  readonly #services = new Map<string, Registration<Peer>>();
  readonly #owned = new Map<Peer, number>();
  readonly #waiting = new Map<string, Set<Waiting<Peer>>>();
  readonly #waitingOf = new Map<Peer, Set<Waiting<Peer>>>();
  /** The last generation of each name that was ever registered here. */
  readonly #generations = new Map<string, number>();

  /** @param events receives the changes */
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

  /** The registration of a name. */
  get(name: string): Registration<Peer> | undefined {
    return this.#services.get(name);
  }

  /**
   * Describes all registrations, ordered by the bytes of their names.
   *
   * @throws {Refusal} if there are more than fit into a message
   */
  list(): XpcRecord[] {
    if (this.size > LIMITS.listed) throw new Refusal("limit");
    const ordered = [...this.#services.values()].sort((a, b) => a.name < b.name ? -1 : 1);
    return ordered.map(({ name, generation, pid, since }) => {
      return { name, generation: BigInt(generation), pid: new Int64(BigInt(pid)), since };
    });
  }

  /**
   * Registers a name, also if another peer holds it. Takes the endpoint over.
   *
   * @returns the registration, and how many waiting lookups it answered
   */
  register(
    peer: Peer,
    name: string,
    endpoint: Endpoint,
    pid: number,
    after: number,
  ): { readonly registration: Registration<Peer>; readonly answered: number } {
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
    let answered = 0;
    for (const lookup of this.#waiting.get(name) ?? []) {
      if (generation <= lookup.after) continue;
      answered++;
      this.#forget(lookup);
      lookup.answer({ ok: true, ...describeRegistration(registration) });
    }
    this.#prune(now);
    return { registration, answered };
  }

  /** Keeps a lookup until its name has a generation above `after`. */
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

  /** Removes the waiting lookup that has this number. */
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

  /** Removes the lookups and the registrations of a peer, in the order of registration. */
  leave(peer: Peer): void {
    for (const lookup of this.#waitingOf.get(peer) ?? []) this.#forget(lookup);
    if (!this.#owned.has(peer)) return;
    for (const registration of [...this.#services.values()]) {
      if (registration.peer === peer) this.#remove(registration);
    }
  }

  /** Answers all waiting lookups. */
  answerAll(reply: XpcRecord): void {
    for (const lookups of this.#waitingOf.values()) {
      for (const lookup of lookups) lookup.answer(reply);
    }
    this.#waiting.clear();
    this.#waitingOf.clear();
  }

  /** Disposes every endpoint. */
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

  /** Where there are too many generations, forgets those that the clock has passed, of names that nobody serves. */
  #prune(now: number): void {
    if (this.#generations.size <= MAX_REMEMBERED) return;
    for (const [name, generation] of this.#generations) {
      if (generation < now && !this.#services.has(name)) this.#generations.delete(name);
    }
    if (this.#generations.size <= MAX_REMEMBERED) return;
    // Only a hostile peer asks for this many generations from the future.
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
