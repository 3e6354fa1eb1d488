/**
 * A client that sends messages over a channel, each of which tells its own length and content, or sends back what comes.
 *
 * @module
 */
import { type Channel, type Client, connect, type StreamReader, waitAny, waitAnySync } from "../../mod.ts";
import { answer, type Calls } from "./calls.ts";
import { messageOf } from "./channel_messages.ts";

let client: Client | undefined;
let channel: Channel | undefined;
let video: StreamReader | undefined;

const calls: Calls = {
  async connect(p) {
    client = await connect(String(p["name"]), { broker: { service: String(p["broker"]) } });
    channel = await client.channel("midi");
  },
  /** Sends `count` messages of different lengths. */
  async send(p) {
    for (let number = 0; number < Number(p["count"]); number++) await channel!.sendAsync(messageOf(number));
  },
  /** Sends until it is killed. */
  async sendOn() {
    for (let number = 0;; number++) {
      if (!channel!.send(messageOf(number))) await channel!.sendAsync(messageOf(number));
    }
  },
  /** Sends back what comes, `count` messages. */
  async echo(p) {
    let count = 0;
    for await (const bytes of channel!) {
      await channel!.sendAsync(bytes);
      if (++count === Number(p["count"])) break;
    }
  },
  /** Sends back what comes, and blocks its thread. */
  echoSync(p) {
    for (let count = 0; count < Number(p["count"]); count++) {
      if (!channel!.send(channel!.receiveSync({ timeout: 30_000 }))) throw new Error("no room for an echo");
    }
  },
  /** Says that it is there, and blocks its thread until the channel ends; how it ended, after how many messages. */
  receiveToEnd() {
    channel!.send(new Uint8Array([1]));
    for (let count = 0;; count++) {
      try {
        channel!.receiveSync({ timeout: 60_000 });
      } catch (error) {
        return `${(error as Error).name} after ${count}`;
      }
    }
  },
  async openStream() {
    video = await client!.stream("video");
  },
  /** Waits for the stream and the channel; says before that it is there. What was ready, and what it had. */
  async any(p) {
    channel!.send(new Uint8Array([0]));
    try {
      const options = { timeout: 60_000, spin: 0 };
      const items = [video!, channel!];
      const index = p["sync"] === true ? waitAnySync(items, options) : await waitAny(items, options);
      if (index === 1) return `channel ${channel!.receive()}`;
      using frame = video!.latest()!;
      return `stream ${frame.sequence}`;
    } catch (error) {
      return (error as Error).name;
    }
  },
  async close() {
    await channel!.close();
  },
};

await answer(calls);
await client?.close();
