import type { Socket } from "node:net";

/** The part of `net.Socket` that its types leave out: options of a socket that reads into one buffer. */
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
 * loop on its own thread. When the realm dies, the system closes the descriptor; whoever writes to the other end
 * gets an error and nothing else happens.
 */
export class WakeSocket {
  readonly #socket: Socket;
  readonly #closed: Promise<void>;

  /**
   * Starts to read.
   *
   * @param fd one end of a connected stream socket; the wake socket closes it
   * @param wake called when bytes came, perhaps once for several
   * @param ended called when the other end was closed or shut down
   */
  static async open(fd: number, wake: () => void, ended: () => void): Promise<WakeSocket> {
    const { Socket } = await import("node:net"); // here, since it takes milliseconds
    return new WakeSocket(Socket, fd, wake, ended);
  }

  private constructor(SocketClass: typeof Socket, fd: number, wake: () => void, ended: () => void) {
    const options: ReadingOptions = {
      fd,
      readable: true,
      writable: false,
      onread: {
        buffer: new Uint8Array(256),
        callback: () => {
          wake();
          return true; // go on reading
        },
      },
    };
    const socket = new SocketClass(options);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#socket = socket;
    this.#closed = promise;
    socket.once("end", ended);
    socket.on("error", ended); // a connection reset; "close" follows
    socket.once("close", () => resolve());
    socket.read(0); // starts the reading
  }

  /** Closes the descriptor. Idempotent. */
  async close(): Promise<void> {
    this.#socket.destroy();
    await this.#closed;
  }
}
