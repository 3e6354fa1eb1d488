/**
 * An app in a process of its own, to be killed at any moment: `app.ts ROLE SERVICE NAME`.
 *
 * Register: serves a listener under the name, and answers with its pid. Wait: looks the name up, waiting. Serve,
 * connect and hold: by the library itself; hold takes the region's mutex and keeps it.
 *
 * @module
 */
import { connect, serve } from "../../../mod.ts";
import { Connection } from "../../../src/xpc/mod.ts";
import { offer } from "./peer.ts";

const [role, service = "", name = "", policy = "reject"] = Deno.args;
const broker = { service, embedded: false };

function say(record: Record<string, unknown>): void {
  console.log(JSON.stringify(record));
}

async function ask(): Promise<Connection> {
  const connection = await Connection.toService(service);
  await connection.request({ op: "hello", min: 1n, max: 1n });
  return connection;
}

switch (role) {
  case "register": {
    const connection = await ask();
    const listener = await offer(`${Deno.pid}`);
    say({ ready: true });
    using endpoint = listener.endpoint();
    const { ok, registered, generation } = await connection.request({
      op: "register",
      name,
      endpoint,
      policy,
    });
    say({ ok, registered, generation: String(generation) });
    await connection.closed;
    break;
  }
  case "wait": {
    const connection = await ask();
    const reply = connection.request({ op: "lookup", name, wait: true, id: 1n });
    await connection.flush();
    say({ waiting: true });
    say({ ok: (await reply)["ok"] });
    break;
  }
  case "serve": {
    const server = await serve(name, { broker, regions: { frame: { byteLength: 4096 } } });
    server.region("frame").view(Uint32Array)[0] = Deno.pid;
    say({ serves: Deno.pid });
    await server.closed;
    break;
  }
  case "hold": {
    const client = await connect(name, { broker });
    const frame = await client.open("frame", { write: true });
    await frame.mutex.lock();
    say({ holds: true });
    await client.closed;
    break;
  }
  default:
    throw new TypeError(`Cannot be an app of the role "${role}"`);
}
