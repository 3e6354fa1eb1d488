import type { Connection } from "../xpc/mod.ts";
import { LIMITS } from "./protocol.ts";

/** An app that is connected to the broker. */
export interface Peer {
  /** Its connection. */
  readonly connection: Connection;
  /** Its process. */
  readonly pid: number;
  /** Whether it receives the events of `watch`. */
  watching: boolean;
}

/**
 * The peers of a broker. A peer that does not say hello in time loses its connection; where there are too many peers,
 * the one that has been silent longest loses it at once, so that silent connections cannot keep others out.
 */
export class Peers {
  readonly #all = new Set<Peer>();
  /** The peers that have not said hello, the oldest first, and when each connected. */
  readonly #silent = new Map<Peer, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** How many peers are connected. */
  get size(): number {
    return this.#all.size;
  }

  /** All peers. */
  [Symbol.iterator](): Iterator<Peer> {
    return this.#all.values();
  }

  /**
   * Adds a peer that has just connected.
   *
   * @param connection its connection
   * @param pid its process
   * @returns the peer, or `undefined` if there are too many and all of them have said hello
   */
  add(connection: Connection, pid: number): Peer | undefined {
    if (this.#all.size >= LIMITS.peers) {
      const [oldest] = this.#silent.keys();
      if (oldest === undefined) return undefined;
      this.#evict(oldest);
    }
    const peer: Peer = { connection, pid, watching: false };
    this.#all.add(peer);
    this.#silent.set(peer, performance.now());
    this.#watchSilence();
    return peer;
  }

  /** Removes a peer whose connection is over. */
  remove(peer: Peer): void {
    this.#all.delete(peer);
    this.#silent.delete(peer);
    if (this.#silent.size === 0) this.#stopWatching();
  }

  /** Notes that a peer has said hello. */
  greet(peer: Peer): void {
    this.#silent.delete(peer);
    if (this.#silent.size === 0) this.#stopWatching();
  }

  /** Whether a peer has said hello. */
  hasGreeted(peer: Peer): boolean {
    return this.#all.has(peer) && !this.#silent.has(peer);
  }

  /** Stops the clock of the silent peers, for a broker that ends. */
  close(): void {
    this.#silent.clear();
    this.#stopWatching();
  }

  #evict(peer: Peer): void {
    this.remove(peer);
    void peer.connection.close();
  }

  /** One timer serves all: they connected in the order in which their time is up. */
  #watchSilence(): void {
    const [oldest] = this.#silent.values();
    if (oldest === undefined || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const deadline = performance.now() - LIMITS.silence;
      for (const [peer, since] of this.#silent) {
        if (since > deadline) break;
        this.#evict(peer);
      }
      this.#watchSilence();
    }, Math.max(oldest + LIMITS.silence - performance.now(), 0));
  }

  #stopWatching(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
