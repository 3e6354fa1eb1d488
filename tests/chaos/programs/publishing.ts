/**
 * The streams of the cast's server: publishes frames that tell whether they are whole.
 *
 * @module
 */
import { type FrameLoan, NoSlotError, type Server, type StreamWriter } from "../../../mod.ts";
import { excused, id, pause, stop, violated } from "./common.ts";
import { lives } from "./lives.ts";
import { stampOf } from "./words.ts";

const INTERVAL = 5;

/** How long a patient loan waits for readers of every frame, in milliseconds. */
const PATIENCE = 1000;

/** How many loans in a row the dead may spoil: so long the server may need to notice a death. */
const MAX_SPOILED = 600;

/** How long all slots may need to be free, in milliseconds, once nobody who lives holds one. */
const ALL_FREE = 20_000;

/** Publishes frames of both streams until the program ends. */
export class Publishing {
  readonly #video: StreamWriter;
  readonly #log: StreamWriter;
  readonly #working: Promise<unknown>;
  #spoiled = 0;
  /** For tests of the checks: publishes frames that are torn. */
  tear = false;

  constructor(server: Server) {
    this.#video = server.stream("video");
    this.#log = server.stream("log");
    this.#working = Promise.all([this.#publishVideo(), this.#publishLog()]);
  }

  /** Resolves when it has ended. */
  async ended(): Promise<void> {
    await this.#working;
  }

  /**
   * Loans all slots but the one with the newest frame at once: no reader who lives holds any.
   *
   * @throws {Error} if some stay taken
   */
  async takeAll(): Promise<void> {
    const end = performance.now() + ALL_FREE;
    for (;;) {
      try {
        return this.#loanAll();
      } catch (error) {
        if (!(error instanceof NoSlotError) || performance.now() > end) throw error;
      }
      await pause(20); // nothing tells when a death was noticed
    }
  }

  #loanAll(): void {
    const loans: FrameLoan[] = [];
    try {
      for (let count = 1; count < this.#video.slots; count++) loans.push(this.#video.loan());
    } finally {
      for (const loan of loans) loan[Symbol.dispose]();
    }
  }

  async #publishVideo(): Promise<void> {
    while (!stop.signal.aborted) {
      await this.#publishFrame();
      await pause(INTERVAL);
    }
  }

  async #publishFrame(): Promise<void> {
    try {
      using frame = this.#video.loan();
      this.#fill(this.#video, frame);
      this.#spoiled = 0;
    } catch (error) {
      if (!(error instanceof NoSlotError)) throw error;
      await this.#blame(error);
    }
  }

  /** Slots may be taken while those who hold them live, and for a moment after that. */
  async #blame(error: NoSlotError): Promise<void> {
    if (error.pids.length === 0) violated(`nobody holds the slots: ${error.message}`);
    const alive = await Promise.all(error.pids.map(lives));
    this.#spoiled = alive.every(Boolean) ? 0 : this.#spoiled + 1;
    if (this.#spoiled > MAX_SPOILED) violated(`the dead hold slots: ${error.message}`);
  }

  async #publishLog(): Promise<void> {
    while (!stop.signal.aborted) {
      try {
        using frame = await this.#log.loanAsync({ timeout: PATIENCE, signal: stop.signal });
        this.#fill(this.#log, frame);
      } catch (error) {
        if (stop.signal.aborted) return;
        excused(error);
      }
      await pause(INTERVAL);
    }
  }

  #fill(stream: StreamWriter, frame: FrameLoan): void {
    const stamp = stampOf(id, stream.sequence + 1);
    const byteLength = 8 * (1 + Math.floor(Math.random() * frame.byteLength / 8));
    const words = frame.view(Float64Array, 0, byteLength / 8).fill(stamp);
    if (this.tear) words[words.length - 1] = stamp - 1;
    frame.publish({ timestamp: stamp, record: Float64Array.of(stamp), byteLength });
  }
}
