import { type TurnPlace, turnsOf, Waiting } from "./turns.ts";
import type { EventQueue } from "../xpc/event_queue.ts";
import type { WaitSource } from "./wait_source.ts";

/** A mutex in a wait for several things. */
export class MutexSource implements WaitSource {
  readonly queue: EventQueue;
  readonly word: WaitSource["word"];
  readonly #place: TurnPlace;
  readonly #lock: () => boolean;
  #check: ((trouble?: Error) => void) | undefined;
  #who: number = Waiting.realm;

  /**
   * @param place the words of the mutex
   * @param lock locks it if that is possible at once; whether it did
   */
  constructor(place: TurnPlace & { readonly queue: EventQueue }, lock: () => boolean) {
    this.queue = place.queue;
    this.word = turnsOf(place.words);
    this.#place = place;
    this.#lock = lock;
  }

  poll(asks: boolean): boolean {
    if (asks) this.queue.library.shim.shim_turn_ask(this.#place.words, this.#who);
    return this.#lock();
  }

  park(check: (trouble?: Error) => void): void {
    this.#check = check;
    this.#place.turns.add(check);
  }

  sleep(): void {
    this.#who = Waiting.thread;
  }

  end(): void {
    if (this.#check !== undefined) this.#place.turns.remove(this.#check);
  }
}
