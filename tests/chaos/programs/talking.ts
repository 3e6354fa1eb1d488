/**
 * What the cast's clients say: requests, messages and a channel, all of it numbered.
 *
 * @module
 */
import { BacklogError, type Client, PeerGoneError, RemoteError } from "../../../mod.ts";
import type { Channel } from "../../../mod.ts";
import { excused, pause, PAUSE_AFTER_ERROR, stop, violated } from "./common.ts";
import { Turns } from "./turns.ts";
import { messageOf, numberOf } from "./words.ts";

/** How long a client waits for an answer that comes late, in milliseconds. */
export const LATE = 40;

/** How long a client waits for any other answer, in milliseconds. */
const PATIENCE = 2000;

/** How long a request may take beyond its timeout, in milliseconds: this process may be stopped, or starved. */
const GRACE = 15_000;

const LONGEST_PAUSE = 6;

/** Talks to the server, whichever it is, until the program ends. */
export class Talking {
  /** What was done: a request answered, a message sent back, a message echoed. */
  readonly turns: Turns = new Turns("request", "message", "channel");
  readonly #client: Client;
  readonly #working: Promise<unknown>;
  #requests = 0;
  #messages = 0;

  constructor(client: Client) {
    this.#client = client;
    this.#working = Promise.all([
      this.#repeat(() => this.#ask()),
      this.#repeat(() => this.#ask()),
      this.#repeat(() => this.#tell()),
      this.#hear(),
      this.#follow(),
    ]);
  }

  /** Resolves when it has ended. */
  async ended(): Promise<void> {
    await this.#working;
  }

  async #repeat(act: () => Promise<void> | void): Promise<void> {
    while (!stop.signal.aborted) {
      await act();
      await pause(1 + Math.random() * LONGEST_PAUSE);
    }
  }

  /** A request ends: by its answer, by the server's death, or by its timeout. */
  async #ask(): Promise<void> {
    const number = ++this.#requests;
    const how = number % 16 === 0 ? "late" : number % 16 === 8 ? "fail" : "now";
    const timeout = how === "late" ? LATE : PATIENCE;
    const hangs = setTimeout(() => violated(`request ${number} (${how}) does not end`), timeout + GRACE);
    try {
      const answer = await this.#client.request({ number, how }, { timeout, signal: stop.signal });
      const got = (answer as { number?: unknown }).number;
      if (got !== number || how === "fail") {
        violated(`request ${number} (${how}) was answered by ${JSON.stringify(answer)}`);
      }
      this.turns.count("request");
    } catch (error) {
      if (!stop.signal.aborted) this.#judge(error, `request ${number} (${how})`, how);
    } finally {
      clearTimeout(hangs);
    }
  }

  #judge(error: unknown, what: string, how: string): void {
    if (error instanceof PeerGoneError) return;
    if (error instanceof DOMException && error.name === "TimeoutError") return;
    if (error instanceof RemoteError && how === "fail") return;
    // A client without descriptors cannot find the next server, and says so.
    if (!this.#client.connected) return excused(error);
    violated(`${what} ended by ${error}`);
  }

  #tell(): void {
    try {
      this.#client.send({ number: this.#messages + 1 });
      this.#messages++;
    } catch (error) {
      if (stop.signal.aborted) return;
      if (!(error instanceof PeerGoneError) && !(error instanceof BacklogError)) {
        violated(`send threw ${error}`);
      }
    }
  }

  /** What comes back grows while one server lives. */
  async #hear(): Promise<void> {
    const lasts = new Map<number, number>();
    try {
      for await (const value of this.#client.messages({ signal: stop.signal })) {
        const { life, number } = value as { life: number; number: number };
        const last = lasts.get(life) ?? 0;
        if (number <= last) violated(`message ${number} came back after ${last}`);
        lasts.set(life, number);
        this.turns.count("message");
      }
    } catch (error) {
      if (!stop.signal.aborted) violated(`the messages ended by ${error}`);
    }
  }

  async #follow(): Promise<void> {
    while (!stop.signal.aborted) {
      try {
        await using channel = await this.#client.channel("midi", { signal: stop.signal });
        await this.#converse(channel);
      } catch (error) {
        if (stop.signal.aborted) return;
        if (!(error instanceof PeerGoneError)) excused(error);
        await pause(PAUSE_AFTER_ERROR);
      }
    }
  }

  /** Sends messages, which come back whole and in order. */
  async #converse(channel: Channel): Promise<void> {
    const over = new AbortController();
    const sending = this.#sendTo(channel, AbortSignal.any([stop.signal, over.signal]));
    let last = 0;
    try {
      for await (const bytes of channel.messages({ signal: stop.signal })) {
        const number = numberOf(bytes);
        if (number !== last + 1) violated(`the channel gave ${number ?? "half a message"} after ${last}`);
        last = number ?? last;
        this.turns.count("channel");
      }
    } finally {
      over.abort();
      await sending;
    }
  }

  async #sendTo(channel: Channel, signal: AbortSignal): Promise<void> {
    try {
      for (let number = 1; !signal.aborted; number++) {
        await channel.sendAsync(messageOf(number), { signal });
        if (number % 4 === 0) await pause(Math.random() * LONGEST_PAUSE);
      }
    } catch (error) {
      if (!signal.aborted && !(error instanceof PeerGoneError)) excused(error);
    }
  }
}
