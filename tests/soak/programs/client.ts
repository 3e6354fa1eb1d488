/**
 * A client that stays: follows changes, opens and closes regions, locks, sends messages, has workers.
 *
 * @module
 */
import { connect } from "../../../mod.ts";
import { Connection } from "../../../src/xpc/mod.ts";
import { answer } from "../../support/calls.ts";
import { broker, COMMON, count, loop, name, pause, stop } from "./common.ts";

const client = await connect(name, { broker });
await using echo = await Connection.toService(`${name}.echo`);
await using frame = await client.open("frame", { write: true });
await using mask = await client.open("mask");

async function follow(): Promise<void> {
  try {
    for await (const _ of mask.changes({ signal: stop.signal })) count("changes seen");
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  }
}

const open = async (): Promise<void> => {
  await using other = await client.open("other");
  if (other.view(Uint8Array).length !== other.byteLength) throw new Error("the view is not the region");
  count("regions opened");
  await pause(5);
};

const lock = async (): Promise<void> => {
  using guard = await frame.mutex.lock();
  if (guard.abandoned) count("locks abandoned by the dead");
  frame.commit();
  count("locks");
  await pause(1);
};

let messages = 0;
const send = async (): Promise<void> => {
  const data = new Uint8Array(++messages % 50 === 0 ? 2 ** 20 : 64);
  const reply = await echo.request({ data });
  if ((reply["echo"] as Uint8Array).length !== data.length) throw new Error("the echo is another");
  count("messages");
  await pause(2);
};

const work = async (): Promise<void> => {
  const worker = new Worker(new URL("worker.ts", import.meta.url), { type: "module" });
  await new Promise((resolve, reject) => {
    worker.onmessage = resolve;
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.postMessage({ name, broker });
  });
  worker.terminate();
  count("workers");
  await pause(100);
};

const working = [follow(), ...[open, lock, send, work].map(loop)];
await answer(COMMON);
stop.abort();
await Promise.all(working);
await client.close();
