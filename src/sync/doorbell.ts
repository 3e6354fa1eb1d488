import type { Library } from "../../ffi/load.ts";
import { describeError } from "../../ffi/errno.ts";
import { WakeSocket } from "../xpc/wake_socket.ts";

/** A socket that this realm's event loop reads and the other side rings: the cheapest way to wake an idle event loop. */
export class Doorbell {
  readonly #library: Library;
  readonly #ring: () => void;
  #socket: WakeSocket | undefined;
  #ringFd: number;
  #ended = false;

  /**
   * Makes a doorbell.
   *
   * @param library the libraries
   * @param ring called at each ring, perhaps once for several, and once when nobody can ring it any more
   * @returns the doorbell
   * @throws {Error} if the process has no descriptor left
   */
  static async open(library: Library, ring: () => void): Promise<Doorbell> {
    const ends = new Int32Array(2);
    const result = library.shim.shim_bell_pair(ends);
    if (result !== 0) throw new Error(`Cannot make a doorbell: ${describeError(result)}`);
    const doorbell = new Doorbell(library, ring, ends[1]!);
    doorbell.#socket = await WakeSocket.open(ends[0]!, ring, () => doorbell.#end());
    return doorbell;
  }

  private constructor(library: Library, ring: () => void, ringFd: number) {
    this.#library = library;
    this.#ring = ring;
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
    this.#library.shim.shim_descriptor_close(this.#ringFd);
    this.#ringFd = -1;
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#ring();
  }

  /** Closes the doorbell. Idempotent. */
  async close(): Promise<void> {
    this.#ended = true;
    this.closeRingingEnd();
    await this.#socket?.close();
  }
}
