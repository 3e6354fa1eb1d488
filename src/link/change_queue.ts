/** Makes changes one after the other, in the order in which they were asked for. */
export class ChangeQueue {
  #last: Promise<unknown> = Promise.resolve();

  /** Makes a change after those before it, whether they succeeded or not. */
  add<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#last.then(change);
    this.#last = done.catch(() => {}); // told to the caller
    return done;
  }

  /** Resolves when all changes that were asked for are done. */
  async settled(): Promise<void> {
    await this.#last;
  }
}
