/**
 * The readers of streams that a measured process has open, from one exercise to the next.
 *
 * @module
 */
import { type Client, connect, type StreamReader } from "../mod.ts";
import type { Party } from "./party.ts";

const readers = new Map<string, StreamReader[]>();

/** The n-th reader of each stream has the n-th of these connections. */
const clients: Client[] = [];

/** The readers of a stream. */
export function readersOf(stream: string): readonly StreamReader[] {
  const found = readers.get(stream);
  if (found === undefined) throw new Error(`Cannot read the stream "${stream}": nobody opened it`);
  return found;
}

/** The first of them. */
export function readerOf(stream: string): StreamReader {
  return readersOf(stream)[0]!;
}

/** Opens a stream until there are so many readers, each over a connection of its own, as so many apps would. */
export async function openReaders({ setting }: Party, stream: string, count: number): Promise<void> {
  const { name, broker: service } = setting;
  const opened = readers.get(stream) ?? [];
  while (opened.length < count) {
    const client = clients[opened.length] ??
      await connect(name, { broker: { service }, signal: AbortSignal.timeout(30_000) });
    clients[opened.length] = client;
    opened.push(await client.stream(stream));
  }
  readers.set(stream, opened);
}
