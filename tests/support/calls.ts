/**
 * The child's side of {@linkcode App} in `process.ts`: calls come as JSON lines on the standard input.
 *
 * @module
 */
import { TextLineStream } from "@std/streams/text-line-stream";

/** What the parent may call. */
export type Calls = Readonly<Record<string, (parameters: Record<string, unknown>) => unknown>>;

/** Answers calls, several at once if they wait, until the parent closes our input. */
export async function answer(calls: Calls): Promise<void> {
  const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
  for await (const line of lines) void call(calls, line);
}

async function call(calls: Calls, line: string): Promise<void> {
  const { id, call, parameters } = JSON.parse(line);
  let reply: Record<string, unknown>;
  try {
    reply = { id, result: (await calls[call]!(parameters)) ?? null };
  } catch (error) {
    const { name, message } = error as Error;
    reply = { id, error: { name, message } };
  }
  await Deno.stdout.write(new TextEncoder().encode(`${JSON.stringify(reply)}\n`));
}
