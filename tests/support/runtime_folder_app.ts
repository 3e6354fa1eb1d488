/**
 * Compares the library's rule for the runtime folder with the copy in TypeScript. Calls as in `app.ts`.
 *
 * @module
 */
import { Broker } from "../../src/broker/broker.ts";
import { findRuntimeFolder, socketName } from "../../src/broker/runtime_folder.ts";
import { answers } from "../contract/broker/brokers.ts";
import { answer, type Calls } from "./calls.ts";

const calls: Calls = {
  find: () => findRuntimeFolder(),
  /** Tries to listen: where the library does, or why it does not. */
  async listen({ service }) {
    const name = String(service);
    await using broker = await Broker.start({ service: name });
    const fault = broker.closed.then(({ message }) => message);
    const outcome = await Promise.race([fault, answers(name)]);
    if (outcome !== undefined) return { fault: outcome };
    const { path } = findRuntimeFolder();
    const socket = `${path}/${socketName(name, path)}`;
    return { socket: (await Deno.lstat(socket)).isSocket };
  },
};

await answer(calls);
Deno.exit(0);
