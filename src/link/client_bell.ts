import { BellListeners } from "../sync/bell_listeners.ts";
import { Doorbell } from "../sync/doorbell.ts";
import type { EventQueue } from "../xpc/event_queue.ts";

/** The doorbell of a client: made at the first wait, and of use once the server has it. */
export class ClientBell extends BellListeners {
  readonly #queue: EventQueue;
  readonly #offer: (doorbell: Doorbell) => Promise<void>;
  #doorbell: Promise<Doorbell | undefined> | undefined;
  #ready: Doorbell | undefined;

  constructor(queue: EventQueue, offer: (doorbell: Doorbell) => Promise<void>) {
    super();
    this.#queue = queue;
    this.#offer = offer;
  }

  ready(): boolean {
    this.#doorbell ??= this.#make();
    return this.#ready?.ended === false;
  }

  async #make(): Promise<Doorbell | undefined> {
    let doorbell: Doorbell | undefined;
    try {
      doorbell = await Doorbell.open(this.#queue, () => this.ring());
      await this.#offer(doorbell);
      doorbell.closeRingingEnd();
      this.#ready = doorbell;
      return doorbell;
    } catch {
      // No descriptor is left, the server takes none, or it is gone, which the link tells: threads wait instead.
      await doorbell?.close();
      return undefined;
    }
  }

  async close(): Promise<void> {
    await (await this.#doorbell)?.close();
  }
}
