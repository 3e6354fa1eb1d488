/**
 * Thrown by `loan()` when readers hold all slots but the one with the newest frame. A stream with more slots, or
 * `loan({ revoke: true })`, helps; `loanAsync()` waits for a slot.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { NoSlotError, serve } from "@xpc/shmem";
 *
 * await using server = await serve("com.example.no-slot", { streams: { video: { byteLength: 4096, slots: 2 } } });
 * const video = server.stream("video");
 * using _first = video.loan();
 * using _second = video.loan();
 * try {
 *   video.loan();
 * } catch (error) {
 *   assert(error instanceof NoSlotError && error.pids.length === 0); // this app took all slots itself
 * }
 * ```
 */
export class NoSlotError extends Error {
  /** The processes whose readers keep slots from the writer. Empty where the writer has loaned all slots itself. */
  readonly pids: readonly number[];

  /**
   * Makes the error.
   *
   * @param name the stream
   * @param pids who keeps slots
   */
  constructor(name: string, pids: readonly number[]) {
    const why = pids.length === 0
      ? "this app has loaned all others and published none"
      : `${pids.length === 1 ? "process" : "processes"} ${pids.join(", ")} ${
        pids.length === 1 ? "reads" : "read"
      } the others`;
    super(
      `Cannot loan a slot of "${name}": one has the newest frame, and ${why}. Give the stream more slots, wait with ` +
        `loanAsync(), or take the oldest back with loan({ revoke: true })`,
    );
    this.name = "NoSlotError";
    this.pids = pids;
  }
}
