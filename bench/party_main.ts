/**
 * The program of a measured process. It serves or connects, then runs the exercises that the bench names in lines of
 * JSON on its standard input.
 *
 * @module
 */
import { connect, serve } from "../mod.ts";
import type { WritableRegion } from "../mod.ts";
import { load } from "../ffi/load.ts";
import { EXERCISES } from "./exercises.ts";
import type { Party, Setting } from "./party.ts";
import { TextLineStream } from "@std/streams/text-line-stream";

/** A request: the name of an exercise and what it takes. */
interface Request {
  readonly call: string;
  readonly parameters: unknown;
}

async function enter(role: string, setting: Setting): Promise<Party> {
  const { name, broker: service } = setting;
  const broker = { service };
  const { shim } = await load();
  const common = {
    regions: Object.keys(setting.regions),
    clock: () => shim.shim_clock(),
    kept: new Map<string, Deno.Conn>(),
    setting,
  };
  if (role === "server") {
    const regions = Object.entries(setting.regions).map(([name, byteLength]) => [name, { byteLength }]);
    const { streams, channels } = setting;
    const server = await serve(name, {
      broker,
      request: (value) => value,
      regions: Object.fromEntries(regions),
      streams,
      channels,
    });
    return { ...common, server, client: undefined, region: (name) => server.region(name) };
  }
  const client = await connect(name, {
    broker,
    signal: AbortSignal.timeout(30_000),
    request: (value) => value,
  });
  const opened = new Map<string, WritableRegion>();
  for (const name of Object.keys(setting.regions)) {
    opened.set(name, await client.open(name, { write: true }));
  }
  return { ...common, server: undefined, client, region: (name) => opened.get(name)! };
}

async function answer(line: string, party: Party): Promise<unknown> {
  const { call, parameters } = JSON.parse(line) as Request;
  const exercise = EXERCISES[call];
  if (exercise === undefined) throw new TypeError(`Cannot find the exercise "${call}"`);
  return await exercise(party, parameters as never); // what the conductor sends is typed where it is taken
}

async function main([role = "", setting = ""]: readonly string[]): Promise<void> {
  const say = (values: Record<string, unknown>): void => {
    const bytes = new TextEncoder().encode(`${JSON.stringify(values)}\n`);
    for (let sent = 0; sent < bytes.length;) sent += Deno.stdout.writeSync(bytes.subarray(sent));
  };
  const party = await enter(role, JSON.parse(setting) as Setting);
  say({ result: "ready" });
  for await (
    const line of Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())
  ) {
    try {
      say({ result: await answer(line, party) ?? null });
    } catch (error) {
      say({ error: error instanceof Error ? error.stack ?? error.message : String(error) });
    }
  }
}

await main(Deno.args);
Deno.exit(0); // at once: what ends with the process needs no farewell
