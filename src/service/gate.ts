/**
 * Holds the user's handlers back until `serve` or `connect` has given its result: the other side is quick, and a handler
 * may use that result.
 */
export class Gate {
  readonly #opened = Promise.withResolvers<void>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #state: "closed" | "opening" | "open" = "closed";

  /** Opens, once the promises that were settled before have called back. Idempotent. */
  open(): void {
    if (this.#state !== "closed") return;
    this.#state = "opening";
    this.#timer = setTimeout(() => {
      this.#state = "open";
      this.#opened.resolve();
    }, 0);
  }

  /** Stays as it is. What waits for it belongs to connections that are about to end. */
  close(): void {
    clearTimeout(this.#timer);
  }

  /** Does something: at once, or as soon as it is open. */
  pass<T>(act: () => T | Promise<T>): T | Promise<T> {
    return this.#state === "open" ? act() : this.#opened.promise.then(act);
  }
}
