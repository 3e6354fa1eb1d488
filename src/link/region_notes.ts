import type { Connection } from "../xpc/mod.ts";

/**
 * Tells clients that asked for it that the regions are others: one was added or replaced. A client then asks for the
 * list, by `describe`. Until it has, it gets no other note: a client that stands still does not gather messages.
 */
export class RegionNotes {
  /** Who wants notes, and whether a note is under way that was not followed by `describe`. */
  readonly #clients = new Map<Connection, boolean>();

  /** A client wants notes. */
  add(connection: Connection): void {
    this.#clients.set(connection, false);
  }

  /** A client is gone. */
  remove(connection: Connection): void {
    this.#clients.delete(connection);
  }

  /** A client has asked for the list. Call it before the list is read. */
  described(connection: Connection): void {
    if (this.#clients.has(connection)) this.#clients.set(connection, false);
  }

  /** The regions are others. */
  send(): void {
    for (const [connection, isUnderWay] of this.#clients) {
      if (isUnderWay || !connection.open) continue;
      this.#clients.set(connection, true);
      connection.send({ event: "regions" });
    }
  }
}
