import type { IncomingMessage } from "../xpc/incoming_message.ts";
import type { Connection, XpcRecord, XpcValue } from "../xpc/mod.ts";
import { describeThrown } from "./messages_errors.ts";
import type { Direction } from "./messages_outbox.ts";
import { MAX_MESSAGES, MAX_REQUESTS, MAX_UNDER_WAY_BYTES, TOLERANCE, weightOf } from "./messages_weight.ts";

/** What this side does with what the other side sends. */
export interface MessageHandlers {
  /**
   * Takes a message, which belongs to it; without this, messages are refused. Must not throw. The message counts as
   * under way until the result settles.
   */
  readonly message?: ((value: XpcValue) => Promise<void> | void) | undefined;
  /**
   * Answers a request. What the value holds is disposed after the reply. Without this, requests are refused.
   */
  readonly request?: ((value: XpcValue) => Promise<XpcValue> | XpcValue) | undefined;
}

/** After how many bytes of replies a side looks whether they have left. */
const REPLIES_A_FLUSH = 2 ** 20;

/** The longest value of a reply, and the most that replies may wait to leave this process, in bytes. */
const MAX_REPLY_BYTES = MAX_UNDER_WAY_BYTES;
const MAX_REPLIES_BYTES = 2 * MAX_REPLY_BYTES;

/** What one side receives of requests and messages. Whoever sends more than it may loses the link. */
export class Inbox {
  readonly #direction: Direction;
  readonly #handlers: MessageHandlers;
  /** Messages that are not taken yet, in order of arrival; and the question whether those before it are. */
  readonly #pending: { taken: boolean; readonly question?: IncomingMessage }[] = [];
  #messages = 0;
  #messageBytes = 0;
  #requests = 0;
  #requestBytes = 0;
  /** What was replied, and is not known to have left. */
  #replied = 0;
  #isFlushing = false;
  #connection: Connection | undefined;

  /**
   * @param direction who receives
   * @param handlers what to do with what comes
   */
  constructor(direction: Direction, handlers: MessageHandlers) {
    this.#direction = direction;
    this.#handlers = handlers;
  }

  /** Says which connection it is that messages come from. */
  join(connection: Connection): void {
    this.#connection = connection;
    void connection.closed.then(() => {
      for (const { question } of this.#pending) question?.[Symbol.dispose]();
    });
  }

  /**
   * Takes a message that is of this kind.
   *
   * @param greeted whether the other side has said hello
   * @returns whether it was; if not, it stays the caller's
   */
  receive(message: IncomingMessage, greeted = true): boolean {
    const kind = message.values[this.#direction.key];
    if (kind === "message") this.#message(message, greeted);
    else if (kind === "request") this.#request(message, greeted);
    else if (kind === "received") this.#question(message, greeted);
    else return false;
    return true;
  }

  #message(message: IncomingMessage, greeted: boolean): void {
    using _ = message;
    const { message: handle } = this.#handlers;
    if (!greeted || handle === undefined || message.values["value"] === undefined) return;
    const weight = weightOf(message.values["value"]);
    this.#messages++;
    this.#messageBytes += weight;
    if (this.#exceeds(this.#messages, MAX_MESSAGES, this.#messageBytes)) return;
    const place = { taken: false };
    this.#pending.push(place);
    const taken = (): void => {
      this.#messages--;
      this.#messageBytes -= weight;
      place.taken = true;
      this.#answer();
    };
    const handled = handle(message.take("value")!);
    if (handled instanceof Promise) void handled.then(taken, taken);
    else taken();
  }

  /** Answers when all messages that came before are taken. */
  #question(message: IncomingMessage, greeted: boolean): void {
    if (!greeted) return refuse(message, "hello_first", "Cannot answer before hello");
    if (this.#handlers.message === undefined) {
      return refuse(
        message,
        "no_handler",
        `Cannot take messages: the ${this.#direction.receiver} handles none`,
      );
    }
    if (this.#pending.some(({ question }) => question !== undefined)) {
      return refuse(
        message,
        "bad_request",
        "Cannot answer: the same was asked before, and is not answered yet",
      );
    }
    this.#pending.push({ taken: false, question: message });
    this.#answer();
  }

  #answer(): void {
    for (let first = this.#pending[0]; first !== undefined; first = this.#pending[0]) {
      if (first.question !== undefined) reply(first.question, { ok: true });
      else if (!first.taken) return;
      this.#pending.shift();
    }
  }

  #request(message: IncomingMessage, greeted: boolean): void {
    const value = message.values["value"];
    const { request: handle } = this.#handlers;
    const { receiver } = this.#direction;
    if (!greeted) return refuse(message, "hello_first", "Cannot answer a request before hello");
    if (value === undefined) return refuse(message, "bad_request", "Cannot answer a request without a value");
    if (handle === undefined) {
      return refuse(message, "no_handler", `Cannot answer a request: the ${receiver} handles none`);
    }
    if (!message.expectsReply) return message[Symbol.dispose]();
    if (this.#replied > MAX_REPLIES_BYTES) {
      return refuse(message, "failed", "Cannot answer a request: earlier replies were not read");
    }
    const weight = weightOf(value);
    this.#requests++;
    this.#requestBytes += weight;
    if (this.#exceeds(this.#requests, MAX_REQUESTS, this.#requestBytes)) return message[Symbol.dispose]();
    const done = (result: XpcRecord): void => {
      this.#requests--;
      this.#requestBytes -= weight;
      this.#reply(message, result);
    };
    try {
      const answer = handle(value);
      if (answer instanceof Promise) {
        void answer.then((value) => done(resultOf(value)), (error) => done(failure(error)));
      } else done(resultOf(answer));
    } catch (error) {
      done(failure(error));
    }
  }

  #reply(message: IncomingMessage, result: XpcRecord): void {
    reply(message, result);
    this.#replied += weightOf(result["value"]);
    if (this.#replied < REPLIES_A_FLUSH || this.#isFlushing || this.#connection?.open !== true) return;
    this.#isFlushing = true;
    const before = this.#replied;
    this.#connection.flush().then(() => {
      this.#isFlushing = false;
      this.#replied -= before;
    }, () => {}); // the other side is gone
  }

  /** Ends the link of a side that sends more than the protocol lets it. */
  #exceeds(count: number, most: number, bytes: number): boolean {
    if (count <= most * TOLERANCE && bytes <= MAX_UNDER_WAY_BYTES * TOLERANCE) return false;
    void this.#connection?.close();
    return true;
  }
}

/** The reply with a value. */
function resultOf(value: XpcValue): XpcRecord {
  const weight = weightOf(value);
  if (weight <= MAX_REPLY_BYTES) return { ok: true, value };
  const message =
    `Cannot reply with ${weight} bytes: at most ${MAX_REPLY_BYTES} bytes; share a region instead`;
  return { ok: false, code: "handler", name: "RangeError", message };
}

/** The reply for a handler that threw. */
function failure(error: unknown): XpcRecord {
  return { ok: false, code: "handler", ...describeThrown(error) };
}

/** Sends a reply, or why that cannot be sent; then disposes the message. */
function reply(message: IncomingMessage, record: XpcRecord): void {
  using _ = message;
  if (!message.expectsReply) return;
  try {
    message.reply(record);
  } catch (error) {
    message.reply(failure(error));
  }
}

/** Refuses a request. */
function refuse(message: IncomingMessage, code: string, text: string): void {
  reply(message, { ok: false, code, message: text });
}
