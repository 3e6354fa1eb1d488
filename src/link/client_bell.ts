import { BellListeners } from "../sync/bell_listeners.ts";
import { Doorbell } from "../sync/doorbell.ts";
import type { EventQueue } from "../xpc/event_queue.ts";
import { FileDescriptor } from "../xpc/mod.ts";

/** Gives the server the ringing end of a doorbell. */
type Offer = (bell: FileDescriptor) => Promise<void>;

/**
 * The doorbell of a client. It goes to the server with hello, so that the server can ring from the first moment on, also
 * while its event loop stands still. Where the server did not take it then, it is offered at the first wait.
 */
export class ClientBell extends BellListeners {
  readonly #queue: EventQueue;
  #making: Promise<void> | undefined;
  #doorbell: Doorbell | undefined;
  #isTaken = false;
  #offer: Offer | undefined;

  constructor(queue: EventQueue) {
    super();
    this.#queue = queue;
  }

  /** What hello gives to the server, and the caller disposes; `undefined` if no descriptor is left. */
  async first(): Promise<FileDescriptor | undefined> {
    try {
      this.#doorbell = await Doorbell.open(this.#queue, () => this.ring());
      return await FileDescriptor.from(this.#doorbell.ringFd);
    } catch {
      await this.close();
      return undefined;
    }
  }

  /**
   * Hello is over.
   *
   * @param isTaken whether the server has the doorbell
   * @param offer gives it to the server later
   */
  begin(isTaken: boolean, offer: Offer): void {
    this.#offer = offer;
    if (isTaken) this.#take();
  }

  ready(): boolean {
    if (!this.#isTaken) this.#making ??= this.#make();
    return this.#isTaken && this.#doorbell?.ended === false;
  }

  #take(): void {
    this.#isTaken = true;
    this.#doorbell?.closeRingingEnd();
  }

  async #make(): Promise<void> {
    try {
      this.#doorbell ??= await Doorbell.open(this.#queue, () => this.ring());
      using bell = await FileDescriptor.from(this.#doorbell.ringFd);
      await this.#offer?.(bell);
      this.#take();
    } catch {
      // No descriptor is left, the server takes none, or it is gone, which the link tells: threads wait instead.
      await this.#doorbell?.close();
    }
  }

  /** Closes the doorbell. Idempotent. */
  async close(): Promise<void> {
    await this.#making;
    await this.#doorbell?.close();
    this.#doorbell = undefined;
  }
}
