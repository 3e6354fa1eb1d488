/** What tells a parked realm that the other side may have committed something. */
export interface Bell {
  /**
   * Whether the other side can ring it. The first call has it made. Until then, and where it cannot be made, a native
   * thread waits instead.
   */
  ready(): boolean;
  /** Calls `listener` at each ring, until it is removed. */
  add(listener: () => void): void;
  /** Removes a listener. */
  remove(listener: () => void): void;
}

/** Those in this realm who wait for a bell. */
export class BellListeners {
  readonly #listeners = new Set<() => void>();

  /** Calls `listener` at each ring, until it is removed. */
  add(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Removes a listener. */
  remove(listener: () => void): void {
    this.#listeners.delete(listener);
  }

  /** Calls all listeners. */
  ring(): void {
    for (const listener of this.#listeners) listener();
  }
}
