import { pause } from "../broker/abort.ts";
import { type Connection, disposeValue, type IncomingMessage, type XpcRecord } from "../xpc/mod.ts";
import type { FaultAction, FaultPlan, PassingMessage } from "./faults.ts";

type Side = "client" | "server";

/** Two connections, a client's and the one to its server, and what passes between them. */
export class Relay {
  readonly #number: number;
  readonly #plans: readonly FaultPlan[];
  readonly #client: Connection;
  readonly #server = Promise.withResolvers<Connection>();
  readonly #stop = new AbortController();
  /** What each side sent, in order: one message passes after the other. */
  readonly #order: Record<Side, Promise<void>> = { client: Promise.resolve(), server: Promise.resolve() };
  /** Dropped messages: as long as they are kept, their senders hear nothing. */
  readonly #dropped: IncomingMessage[] = [];
  #closing: Promise<void> | undefined;

  constructor(number: number, client: Connection, plans: readonly FaultPlan[]) {
    this.#number = number;
    this.#client = client;
    this.#plans = plans;
    this.#server.promise.catch(() => {}); // told to who waits for it
  }

  /** Takes over the connection to the server, which may come later than the client's first messages. */
  async connected(server: Connection): Promise<void> {
    if (this.#closing !== undefined) return await server.close(); // the client was quicker to leave
    this.#server.resolve(server);
  }

  /** A message of one side. */
  receive(from: Side, message: IncomingMessage): void {
    const { values } = message;
    const op = typeof values["op"] === "string" ? values["op"] : values["event"];
    const type = message.expectsReply ? "request" : "message";
    const passing = { from, type, op: typeof op === "string" ? op : "", connection: this.#number } as const;
    this.#enqueue(passing, {
      pass: (target) => this.#pass(passing, message, target),
      drop: () => this.#dropped.push(message),
      discard: () => message[Symbol.dispose](),
    });
  }

  /** Ends both connections. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#stop.abort();
    this.#server.reject(new Error("Cannot relay: the relay is closed"));
    await this.#client.close();
    await (await this.#server.promise.catch(() => undefined))?.close();
    for (const message of this.#dropped) message[Symbol.dispose]();
  }

  #enqueue(passing: PassingMessage, message: Passenger): void {
    this.#order[passing.from] = this.#order[passing.from].then(() => this.#step(passing, message));
  }

  async #step(passing: PassingMessage, message: Passenger): Promise<void> {
    if (this.#closing !== undefined) return message.discard();
    try {
      const action = await this.#decide(passing);
      if (action === "drop") return void message.drop();
      if (typeof action === "object") await pause(action.delay, this.#stop.signal);
      if (action !== "close" && this.#closing === undefined) {
        const target = passing.from === "client" ? await this.#server.promise : this.#client;
        return message.pass(target);
      }
      message.discard();
    } catch (error) {
      message.discard();
      if (!this.#stop.signal.aborted) reportError(error);
    }
    await this.close();
  }

  async #decide(passing: PassingMessage): Promise<FaultAction | undefined> {
    for (const plan of this.#plans) {
      const action = await plan(passing);
      if (action !== undefined) return action;
    }
    return undefined;
  }

  #pass(passing: PassingMessage, message: IncomingMessage, target: Connection): void {
    if (!target.open) return message[Symbol.dispose]();
    if (!message.expectsReply) {
      using _ = message;
      return target.send(message.values);
    }
    const answered = target.request(message.values); // has captured the values by now
    disposeValue(message.values);
    const from = passing.from === "client" ? "server" : "client";
    answered.then((reply) => {
      this.#enqueue({ ...passing, from, type: "reply" }, {
        pass: () => answer(message, reply),
        drop: () => {
          disposeValue(reply);
          this.#dropped.push(message);
        },
        discard: () => {
          disposeValue(reply);
          message[Symbol.dispose]();
        },
      });
    }, () => message[Symbol.dispose]()); // the connection is over, which closes the relay
  }
}

/** What can be done with a message: each of these takes it over. */
interface Passenger {
  readonly pass: (target: Connection) => void;
  readonly drop: () => void;
  readonly discard: () => void;
}

function answer(message: IncomingMessage, reply: XpcRecord): void {
  using _ = message;
  try {
    message.reply(reply);
  } finally {
    disposeValue(reply);
  }
}
