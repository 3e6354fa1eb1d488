import { type Library } from "../../ffi/load.ts";
import { cString } from "../../ffi/memory.ts";
import { describeError } from "../../ffi/errno.ts";

/**
 * How many turns those who were woken have before the next read, which takes microseconds that they would wait. From
 * the ring to the one who iterates over `changes()` it is one or two; a few more are for what that one calls.
 */
const TURNS = 8;

/**
 * A socket that this realm's event loop reads and a peer rings: the cheapest way to wake an idle event loop, since
 * it wakes on its own thread.
 *
 * Deno cannot read a descriptor that it did not open. So the socket is made through a path, in a private folder
 * that exists for a moment; the other end goes to the peer as a descriptor.
 */
export class Doorbell {
  readonly #connection: Deno.Conn;
  readonly #ended: Promise<void>;

  /**
   * Makes a doorbell.
   *
   * @param library the libraries
   * @param ring called at each ring, perhaps once for several
   * @returns the bell and the descriptor to ring it by, which the caller closes; `undefined` where this process
   *   lacks the permissions (read, write and net), or has no folder for temporary files
   */
  static async create(
    library: Library,
    ring: () => void,
  ): Promise<{ bell: Doorbell; fd: number } | undefined> {
    if (!permitted()) return undefined;
    try {
      return await make(library, (connection) => new Doorbell(connection, ring));
    } catch {
      // No folder for temporary files, or one whose path is too long for a socket: there is another way to wait.
      return undefined;
    }
  }

  private constructor(connection: Deno.Conn, ring: () => void) {
    this.#connection = connection;
    this.#ended = this.#read(ring);
  }

  async #read(ring: () => void): Promise<void> {
    const bytes = new Uint8Array(256);
    try {
      while (await this.#connection.read(bytes) !== null) {
        ring();
        for (let turn = 0; turn < TURNS; turn++) await undefined;
      }
    } catch (error) {
      // Closed under the read, by us.
      if (!(error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted)) {
        throw error;
      }
    }
  }

  /** Closes the socket. Idempotent. */
  async close(): Promise<void> {
    try {
      this.#connection.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
    await this.#ended;
  }
}

/** Makes a socket through a path that exists for a moment only. */
async function make(
  library: Library,
  wrap: (connection: Deno.Conn) => Doorbell,
): Promise<{ bell: Doorbell; fd: number }> {
  const folder = await Deno.makeTempDir({ prefix: "xpc-shmem-" }); // mode 0700
  try {
    const path = `${folder}/bell`;
    using listener = Deno.listen({ transport: "unix", path });
    const fd = library.shim.shim_bell_connect(cString(path));
    if (fd < 0) throw new Error(`Cannot make a doorbell at "${path}": ${describeError(fd)}`);
    return { bell: wrap(await listener.accept()), fd };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Whether sockets with a path can be made without asking the user. */
function permitted(): boolean {
  const names = ["read", "write", "net"] as const;
  return names.every((name) => Deno.permissions.querySync({ name }).state === "granted");
}
