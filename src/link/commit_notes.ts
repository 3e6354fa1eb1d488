import type { Connection } from "../xpc/mod.ts";

/**
 * Tells the server by messages that something was committed, where it gave no doorbell. The server looks at all regions
 * when it gets a note. So one note under way is enough, however often the client commits: a server that stands still does
 * not gather messages.
 */
export class CommitNotes {
  readonly #connection: Connection;
  #underWay = false;
  #again: number | undefined;

  /** @param connection to the server */
  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Sends a note, or remembers to send one when the server has answered the note that is under way. */
  send(index: number): void {
    if (this.#underWay) this.#again = index;
    else if (this.#connection.open) void this.#send(index);
  }

  async #send(index: number): Promise<void> {
    this.#underWay = true;
    try {
      await this.#connection.request({ op: "committed", index: BigInt(index) });
    } catch {
      return; // the server is gone, which the link tells
    }
    this.#underWay = false;
    const again = this.#again;
    this.#again = undefined;
    if (again !== undefined) this.send(again);
  }
}
