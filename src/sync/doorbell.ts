import { describeError } from "../../ffi/errno.ts";
import type { EventQueue } from "../xpc/event_queue.ts";
import { WakeSocket } from "../xpc/wake_socket.ts";

/** A socket that this realm's event loop reads and the other side rings: the cheapest way to wake an idle event loop. */
export class Doorbell {
  readonly #queue: EventQueue;
  readonly #ring: () => void;
  readonly #readFd: number;
  #socket: WakeSocket | undefined;
  #ringFd: number;
  #ended = false;

  /**
   * Makes a doorbell.
   *
   * @param queue the events of this realm
   * @param ring called at each ring, perhaps once for several, and once when nobody can ring it any more
   * @returns the doorbell
   * @throws {Error} if the process has no descriptor left
   */
  static async open(queue: EventQueue, ring: () => void): Promise<Doorbell> {
    const ends = new Int32Array(2);
    const result = queue.library.shim.shim_queue_open_bell(queue.handle, ends);
    if (result !== 0) throw new Error(`Cannot make a doorbell: ${describeError(result)}`);
    const doorbell = new Doorbell(queue, ring, ends[0]!, ends[1]!);
    doorbell.#socket = await WakeSocket.open(ends[0]!);
    doorbell.#socket.listen(ring, () => doorbell.#end());
    return doorbell;
  }

  private constructor(queue: EventQueue, ring: () => void, readFd: number, ringFd: number) {
    this.#queue = queue;
    this.#ring = ring;
    this.#readFd = readFd;
    this.#ringFd = ringFd;
  }

  /**
   * Whether it cannot be rung any more: every descriptor of the ringing end is closed, or whoever has one has shut it
   * down.
   */
  get ended(): boolean {
    return this.#ended;
  }

  /** The descriptor to ring it by, which this object closes. */
  get ringFd(): number {
    return this.#ringFd;
  }

  /** Closes our copy of the ringing end: the other side has its own. Idempotent. */
  closeRingingEnd(): void {
    if (this.#ringFd < 0) return;
    this.#queue.library.shim.shim_descriptor_close(this.#ringFd);
    this.#ringFd = -1;
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#ring();
  }

  /** Closes the doorbell. Idempotent. */
  async close(): Promise<void> {
    if (this.#socket === undefined) return;
    const socket = this.#socket;
    this.#socket = undefined;
    this.#ended = true;
    this.closeRingingEnd();
    this.#queue.library.shim.shim_queue_forget_bell(this.#queue.handle, this.#readFd);
    await socket.close();
  }
}
