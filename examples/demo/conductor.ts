/**
 * A process's connection to the demo: commands come in lines on standard input, events leave on standard output.
 *
 * @module
 */
import { TextLineStream } from "@std/streams/text-line-stream";
import type { Setting } from "./messages.ts";

/** The setting that the demo gave this process. */
export function setting(): Setting {
  const [text] = Deno.args;
  if (text === undefined) throw new TypeError("Cannot run alone: this is a part of `deno task demo`");
  return JSON.parse(text) as Setting;
}

const encoder = new TextEncoder();

/** Sends the demo an event. */
export function tell<E, K extends keyof E & string>(event: K, values: E[K]): void {
  const bytes = encoder.encode(`${JSON.stringify({ event, ...values })}\n`);
  for (let sent = 0; sent < bytes.length;) sent += Deno.stdout.writeSync(bytes.subarray(sent));
}

/** Calls `follow` for each command. Ends this process when the demo ends. */
export async function obey<C>(follow: (command: C) => void): Promise<never> {
  for await (
    const line of Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())
  ) follow(JSON.parse(line) as C);
  Deno.exit(1);
}
