/**
 * A server under load: commits, replaces a region again and again, and answers messages.
 *
 * @module
 */
import { serve } from "../../../mod.ts";
import { Listener } from "../../../src/xpc/mod.ts";
import { answer } from "../../support/calls.ts";
import { broker, COMMON, count, loop, name, pause, stop } from "./common.ts";

const server = await serve(name, {
  broker,
  regions: {
    frame: { byteLength: 2 ** 20 },
    mask: { byteLength: 2 ** 20, clients: "read" },
    other: { byteLength: 1 },
  },
});
await using _echo = await Listener.service(`${name}.echo`, () => ({
  message: (message) => {
    using _ = message;
    message.reply({ echo: message.values["data"] });
    count("messages answered");
  },
}));

const commit = async (): Promise<void> => {
  for (const region of ["frame", "mask"]) server.region(region).commit();
  count("commits");
  await pause(1);
};

let size = 1;
const replace = async (): Promise<void> => {
  await server.replace("other", { byteLength: (size = size % 64 + 1) * 4096 });
  count("regions replaced");
  await pause(10);
};

const working = [loop(commit), loop(replace)];
await answer(COMMON);
stop.abort();
await Promise.all(working);
await server.close();
