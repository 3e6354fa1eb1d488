import { dim } from "@std/fmt/colors";
import type { Run } from "./processes.ts";

/** One line on the terminal that shows the progress. Prints nothing if standard error is not a terminal. */
export class Progress {
  readonly #start = performance.now();
  readonly #shown = Deno.stderr.isTerminal();

  /** Draws the line anew. */
  draw({ options, writer, reader, framesWritten, framesVerified }: Run): void {
    const seconds = (performance.now() - this.#start) / 1000;
    const part = Math.min(1, seconds / (options.seconds + 1.5));
    const bar = "█".repeat(Math.round(part * 20)).padEnd(20, "░");
    const written = framesWritten + (writer.latest("progress")?.frames ?? 0);
    const verified = framesVerified + (reader.latest("progress")?.frames ?? 0);
    const time = `${seconds.toFixed(1)} s`;
    this.#print(
      `\r${bar} ${time}  ${written} frames written, ${verified} verified ${dim("every byte")}\x1b[K`,
    );
  }

  /** Takes the line away. */
  clear(): void {
    this.#print("\r\x1b[K");
  }

  #print(text: string): void {
    if (this.#shown) Deno.stderr.writeSync(new TextEncoder().encode(text));
  }
}
