/**
 * Counts what a program has done, for a parent that waits until it goes on.
 *
 * @module
 */

/** Counters by name, each of which somebody may wait for. */
export class Turns {
  readonly #counts = new Map<string, number>();
  readonly #watchers = new Set<() => void>();

  /** @param names what is counted */
  constructor(...names: string[]) {
    for (const name of names) this.#counts.set(name, 0);
  }

  /** Something was done once more. */
  count(name: string): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
    for (const look of this.#watchers) look();
  }

  /** Resolves when all of it was done twice more: what is under way may have begun before. */
  async more(): Promise<void> {
    const targets = new Map([...this.#counts].map(([name, count]) => [name, count + 2]));
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = (): void => {
      if ([...targets].every(([name, target]) => this.#counts.get(name)! >= target)) resolve();
    };
    this.#watchers.add(look);
    await promise;
    this.#watchers.delete(look);
  }

  /** The counters, for people. */
  toString(): string {
    return [...this.#counts].map(([name, count]) => `${name} ${count}`).join(", ");
  }
}
