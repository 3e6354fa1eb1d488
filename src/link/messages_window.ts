import { MAX_UNDER_WAY_BYTES } from "./messages_weight.ts";

/** Waits for room. */
interface Waiter {
  readonly weight: number;
  readonly start: () => void;
  readonly fail: (error: unknown) => void;
}

/** What may be under way to the other side: so many pieces, so many bytes. Who finds no room waits in line. */
export class Window {
  readonly #most: number;
  readonly #waiting: Waiter[] = [];
  #count = 0;
  #bytes = 0;

  /** @param most the most pieces */
  constructor(most: number) {
    this.#most = most;
  }

  /** How many pieces are under way. */
  get count(): number {
    return this.#count;
  }

  /** How many bytes are under way. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether somebody waits for room. */
  get contended(): boolean {
    return this.#waiting.length > 0;
  }

  /** Whether a quarter is taken. */
  get filling(): boolean {
    return this.#count >= this.#most / 4 || this.#bytes >= MAX_UNDER_WAY_BYTES / 4;
  }

  /** Takes room if there is some and nobody waits for it. */
  tryEnter(weight: number): boolean {
    if (this.contended || !this.#fits(weight)) return false;
    this.#take(weight);
    return true;
  }

  /**
   * Takes room, perhaps later, and calls `start` at that moment.
   *
   * @param weight how much, in bytes
   * @param start what to do then; when it throws, the room is free again
   * @returns resolves after `start`, and the function given with it leaves the line
   */
  enter(weight: number, start: () => void): { readonly started: Promise<void>; readonly leave: () => void } {
    const { promise: started, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = {
      weight,
      start: () => {
        try {
          start();
          resolve();
        } catch (error) {
          reject(error);
          this.free(1, weight);
        }
      },
      fail: reject,
    };
    this.#waiting.push(waiter);
    this.#admit();
    const leave = (): void => {
      const place = this.#waiting.indexOf(waiter);
      if (place < 0) return;
      this.#waiting.splice(place, 1);
      this.#admit(); // whoever stood behind may fit
    };
    return { started, leave };
  }

  /** Gives room back. */
  free(count: number, bytes: number): void {
    this.#count -= count;
    this.#bytes -= bytes;
    this.#admit();
  }

  /** Fails all who wait. */
  end(error: unknown): void {
    for (const { fail } of this.#waiting.splice(0)) fail(error);
  }

  #admit(): void {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      if (!this.#fits(first.weight)) return;
      this.#waiting.shift();
      this.#take(first.weight);
      first.start();
    }
  }

  #fits(weight: number): boolean {
    return this.#count < this.#most && this.#bytes + weight <= MAX_UNDER_WAY_BYTES;
  }

  #take(weight: number): void {
    this.#count++;
    this.#bytes += weight;
  }
}
