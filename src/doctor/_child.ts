import { CLibrary } from "../../ffi/libc.ts";
import { load } from "../../ffi/load.ts";
import { type Client, connect } from "../service/client.ts";
import { MILLISECONDS, REGIONS, STOP } from "./_exchange_words.ts";

/** What the process prints before it writes to memory that it may only read. */
export interface TrespassReport {
  /** Whether the server refused to open the region for writing. */
  readonly refused: boolean;
  /** Whether the process could read the memory. */
  readonly read: boolean;
  /** Whether the kernel allowed it to make the mapping writable. */
  readonly unprotected: boolean;
}

/** Runs the second process of a check, with the arguments that the first one passes. */
export async function runChild([role, name = "", service]: readonly string[]): Promise<void> {
  setTimeout(() => Deno.exit(3), MILLISECONDS); // so that the doctor leaves no process behind
  const client = await connect(name, { broker: { service }, reconnect: false });
  await (role === "echo" ? echo(client) : trespass(client));
  await client.close();
  Deno.exit(0);
}

/** Answers each number with its complement. */
async function echo(client: Client): Promise<void> {
  const region = await client.open(REGIONS.shared, { write: true });
  const words = region.view(Uint32Array);
  for await (const _ of region.changes()) {
    const [question = 0, answer = 0] = words;
    if (question === STOP) return;
    if (question === 0 || answer === ~question >>> 0) continue;
    words[1] = ~question >>> 0;
    region.commit();
  }
}

/** Writes to memory that it may only read: the kernel ends the process. */
async function trespass(client: Client): Promise<void> {
  const refused = await client.open(REGIONS.sealed, { write: true }).then(
    () => false,
    (error) => error instanceof Deno.errors.NotCapable,
  );
  const region = await client.open(REGIONS.sealed);
  const { length } = region.view(Uint8Array);
  // The types forbid to write; here the kernel has to.
  const view = region.view(Uint8Array) as unknown as Uint8Array<ArrayBuffer>;
  const c = new CLibrary(await load());
  const report: TrespassReport = {
    refused,
    read: view.length === length && view.every((byte) => byte === view[0]) && view[0] !== 0,
    unprotected: c.makeWritable(view),
  };
  console.log(JSON.stringify(report));
  c.forgoCoreDump();
  view[0] = 0; // the kernel ends the process here
}
