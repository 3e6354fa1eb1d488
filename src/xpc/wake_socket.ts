import type { Socket } from "node:net";

/** The part of the options of `net.Socket` that its types leave out: reading into one buffer. */
interface ReadingOptions {
  readonly fd: number;
  readonly readable: true;
  readonly writable: false;
  readonly onread: { readonly buffer: Uint8Array; readonly callback: (length: number) => boolean };
}

/**
 * A socket whose bytes wake this realm's event loop. What the bytes say does not matter.
 *
 * It reads a descriptor by `node:net`, which needs no permission, allocates nothing for a read, and wakes the event
 * loop on its own thread.
 */
export class WakeSocket {
  readonly #socket: Socket;
  readonly #closed = Promise.withResolvers<void>();
  #wake: () => void = () => {};

  /**
   * Takes over a descriptor.
   *
   * @param fd one end of a connected stream socket
   * @returns the socket, which does not read yet
   */
  static async open(fd: number): Promise<WakeSocket> {
    const { Socket } = await import("node:net"); // here, since it takes milliseconds
    return new WakeSocket(Socket, fd);
  }

  private constructor(SocketClass: typeof Socket, fd: number) {
    const options: ReadingOptions = {
      fd,
      readable: true,
      writable: false,
      onread: {
        buffer: new Uint8Array(256),
        callback: () => {
          this.#wake();
          return true; // go on reading
        },
      },
    };
    this.#socket = new SocketClass(options);
    this.#socket.once("close", () => this.#closed.resolve());
  }

  /**
   * Starts to read.
   *
   * @param wake called when bytes came, perhaps once for several
   * @param ended called when the other end was closed or shut down
   */
  listen(wake: () => void, ended: () => void): void {
    this.#wake = wake;
    this.#socket.once("end", ended);
    this.#socket.on("error", ended); // a connection reset; "close" follows
    this.#socket.read(0);
  }

  /** Closes the descriptor. Idempotent. */
  async close(): Promise<void> {
    this.#socket.destroy();
    await this.#closed.promise;
  }
}
