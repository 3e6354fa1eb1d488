import { Mapping } from "../../src/memory/mapping.ts";
import { Connection, ConnectionError, Listener, SharedMemory } from "../../src/xpc/mod.ts";

/** An answer, with what was seen. */
export interface Answer {
  /** What nobody could find out without a Mac. */
  readonly question: string;
  /** What happened, by case. */
  readonly seen: Readonly<Record<string, string>>;
}

/** Long enough for an error that comes by itself. */
const PATIENCE = 5000;

/** What a request ends with. */
async function endOf(request: Promise<unknown>): Promise<string> {
  try {
    return `a reply: ${JSON.stringify(await request)}`;
  } catch (error) {
    if (error instanceof ConnectionError) return `ConnectionError, ${error.kind}: ${error.message}`;
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  }
}

/** Does who awaits a reply learn that his message was dropped? */
export async function askDroppedMessage(): Promise<Answer> {
  const drop = async (): Promise<string> => {
    await using listener = await Listener.anonymous(() => ({
      message: (message) => message[Symbol.dispose](),
    }));
    using endpoint = listener.endpoint();
    await using connection = await Connection.toEndpoint(endpoint);
    return await endOf(connection.request({ drop: true }, { timeout: PATIENCE }));
  };
  const hang = async (): Promise<string> => {
    const { promise: come, resolve } = Promise.withResolvers<void>();
    const listener = await Listener.anonymous(() => ({ message: () => resolve() }));
    using endpoint = listener.endpoint();
    await using connection = await Connection.toEndpoint(endpoint);
    const end = endOf(connection.request({ hold: true }, { timeout: PATIENCE }));
    await come;
    await listener.close();
    return await end;
  };
  return {
    question: "A message that awaits a reply is dropped: what does the waiter get?",
    seen: { "dropped": await drop(), "held, then its listener closed": await hang() },
  };
}

/** Memory above 128 MiB is several entries of the kernel's map: is all of it mapped in the receiver? */
export async function askLargeMappings(): Promise<Answer> {
  const seen: Record<string, string> = {};
  for (const mebibytes of [100, 128, 129, 200, 1024]) {
    seen[`${mebibytes} MiB`] = await describeEnd(() => mapThroughMessage(mebibytes * 2 ** 20));
  }
  return { question: "Does a receiver map all of a large shared region?", seen };
}

async function mapThroughMessage(byteLength: number): Promise<string> {
  using sent = await Mapping.create(byteLength);
  const bytes = sent.view(Uint8Array);
  const marks = [0, byteLength >> 1, byteLength - 1];
  for (const [index, at] of marks.entries()) bytes[at] = index + 1;
  await using listener = await Listener.anonymous(() => ({
    message: (message) => {
      const memory = sent.share();
      message.reply({ memory });
      memory[Symbol.dispose]();
    },
  }));
  using endpoint = listener.endpoint();
  await using connection = await Connection.toEndpoint(endpoint);
  const { memory } = await connection.request({ op: "memory" }, { timeout: PATIENCE });
  if (!(memory instanceof SharedMemory)) return "the reply has no memory";
  using _ = memory;
  using received = Mapping.open(memory, byteLength);
  const there = received.view(Uint8Array);
  const wrong = marks.filter((at, index) => there[at] !== index + 1);
  return wrong.length === 0 ? "all of it" : `other bytes at ${wrong.join(", ")}`;
}

async function describeEnd(run: () => Promise<string>): Promise<string> {
  try {
    return await run();
  } catch (error) {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  }
}
