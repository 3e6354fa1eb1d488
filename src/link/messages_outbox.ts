import { aborted } from "../broker/abort.ts";
import { PeerGoneError } from "../sync/errors.ts";
import { millisecondsOf, signalOf, timeoutError } from "../sync/waiting.ts";
import { type Connection, ConnectionError, disposeValue, type XpcRecord, type XpcValue } from "../xpc/mod.ts";
import { startTimer } from "../xpc/timer.ts";
import { BacklogError, RemoteError } from "./messages_errors.ts";
import { MAX_MESSAGES, MAX_REQUESTS, MAX_UNDER_WAY_BYTES, weightOf } from "./messages_weight.ts";
import { Window } from "./messages_window.ts";

/** How long to wait. */
export interface MessageOptions {
  /**
   * The longest time to wait, in milliseconds.
   *
   * @default {Infinity}
   */
  timeout?: number | undefined;
  /** Ends the wait with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** Which way messages go: the key that says what a message is, and how errors call the receiver. */
export interface Direction {
  /** `op` to the server, `event` to the client. */
  readonly key: "op" | "event";
  /** "server" or "client". */
  readonly receiver: string;
}

/** To the server. */
export const TO_SERVER: Direction = { key: "op", receiver: "server" };

/** To a client. */
export const TO_CLIENT: Direction = { key: "event", receiver: "client" };

/**
 * What one side sends to the other: requests and messages, each with a bound. A request is under way until its reply
 * comes; a message, until the other side says that it has taken it. One such question is under way at most, and none for
 * a few messages.
 */
export class Outbox {
  readonly #connection: Connection;
  readonly #direction: Direction;
  readonly #requests = new Window(MAX_REQUESTS);
  readonly #messages = new Window(MAX_MESSAGES);
  #asking = false;
  #hasAsked = false;
  #refused = false;

  /**
   * @param connection to the other side
   * @param direction who that is
   */
  constructor(connection: Connection, direction: Direction) {
    this.#connection = connection;
    this.#direction = direction;
    void connection.closed.then(() => {
      this.#requests.end(this.#gone("send a request"));
      this.#messages.end(this.#gone("send a message"));
    });
  }

  /**
   * Sends a message.
   *
   * @throws {BacklogError} if too much is under way
   * @throws {PeerGoneError} if the other side is gone
   * @throws {TypeError} if the other side takes no messages, or the value cannot be sent
   * @throws {RangeError} if the value is too large
   */
  send(value: XpcValue): void {
    const weight = this.#weigh("send a message", value);
    this.#checkMessages();
    if (!this.#messages.tryEnter(weight)) throw this.#backlog();
    try {
      this.#send(value);
    } catch (error) {
      this.#messages.free(1, weight);
      throw error;
    }
  }

  /** Sends a message, and waits for room before. Throws what {@linkcode send} throws but `BacklogError`. */
  async sendAsync(value: XpcValue, options: MessageOptions): Promise<void> {
    const weight = this.#weigh("send a message", value);
    this.#checkMessages();
    const entry = this.#messages.enter(weight, () => this.#send(value));
    this.#ask(); // there may be room already
    await this.#within("send a message", entry.started, options, entry.leave);
  }

  /**
   * Sends a request.
   *
   * @returns the value of the reply
   * @throws {RemoteError} if the handler threw
   * @throws {PeerGoneError} if the other side goes before it replied
   * @throws {TypeError} if the other side takes no requests, or the value cannot be sent
   * @throws {RangeError} if the value is too large
   * @throws {DOMException} `TimeoutError`
   * @throws the signal's reason
   */
  async request(value: XpcValue, options: MessageOptions): Promise<XpcValue> {
    const weight = this.#weigh("send a request", value);
    this.#check("send a request");
    if (this.#requests.tryEnter(weight)) {
      return await this.#within("get a reply", this.#request(value, weight), options);
    }
    let reply: Promise<XpcValue> | undefined;
    const entry = this.#requests.enter(weight, () => reply = this.#request(value, weight));
    const got = entry.started.then(() => reply!);
    return await this.#within("get a reply", got, options, entry.leave);
  }

  /** Sends a request for which there is room; gives that back with the reply, however late it comes. */
  async #request(value: XpcValue, weight: number): Promise<XpcValue> {
    try {
      const reply = await this.#connection.request({ [this.#direction.key]: "request", value });
      return this.#valueOf(reply);
    } catch (error) {
      throw error instanceof ConnectionError ? this.#gone("get a reply") : error;
    } finally {
      this.#requests.free(1, weight);
    }
  }

  /** The value of a reply, or the error that a refusal stands for. */
  #valueOf(reply: XpcRecord): XpcValue {
    const { ok, value, code, name, message } = reply;
    if (ok === true && value !== undefined) return value;
    disposeValue(reply);
    const { receiver } = this.#direction;
    if (ok !== false || typeof message !== "string") {
      throw new Error(`Cannot use the reply: the ${receiver} does not follow the protocol`);
    }
    if (code === "handler") throw new RemoteError(message, typeof name === "string" ? name : "Error");
    if (code === "no_handler" || code === "bad_request") {
      throw new TypeError(
        `Cannot send a request: the ${receiver} takes none (it has no \`request\` handler)`,
      );
    }
    throw new Error(message);
  }

  #send(value: XpcValue): void {
    try {
      this.#connection.send({ [this.#direction.key]: "message", value });
    } catch (error) {
      throw error instanceof ConnectionError ? this.#gone("send a message") : error;
    }
    this.#ask();
  }

  /** Asks whether the other side has taken the messages so far, where that matters. */
  #ask(): void {
    const { bytes, count } = this.#messages;
    if (this.#asking || count === 0 || !this.#connection.open) return;
    // The first message also tells whether the other side takes any.
    if (this.#hasAsked && !this.#messages.filling && !this.#messages.contended) return;
    this.#asking = this.#hasAsked = true;
    this.#connection.request({ [this.#direction.key]: "received" }).then((reply) => {
      this.#asking = false;
      disposeValue(reply);
      if (reply["ok"] !== true) this.#refused = true;
      this.#messages.free(count, bytes);
      if (this.#refused) this.#messages.end(this.#takesNone());
      else this.#ask();
    }, () => {}); // the other side is gone, which `closed` tells
  }

  /** Waits for what was started. What comes when nobody waits any more is disposed. */
  async #within<T extends XpcValue | void>(
    doing: string,
    started: Promise<T>,
    options: MessageOptions,
    leave: () => void = () => {},
  ): Promise<T> {
    const { signal } = options;
    const { timeout } = options;
    if (signal === undefined && timeout === undefined) return await started;
    const { promise: expired, reject } = Promise.withResolvers<never>();
    const milliseconds = timeout ?? Infinity;
    const stopTimer = startTimer(milliseconds, () => reject(timeoutError(doing, milliseconds)));
    try {
      return await aborted(Promise.race([started, expired]), signal);
    } catch (error) {
      leave();
      started.then((late) => disposeValue(late as XpcValue | undefined), () => {});
      throw error;
    } finally {
      stopTimer();
    }
  }

  /** What the value counts for. */
  #weigh(doing: string, value: XpcValue): number {
    const weight = weightOf(value);
    if (weight <= MAX_UNDER_WAY_BYTES) return weight;
    throw new RangeError(
      `Cannot ${doing} of ${weight} bytes: at most ${MAX_UNDER_WAY_BYTES} bytes are under way; share a region instead`,
    );
  }

  #check(doing: string): void {
    if (!this.#connection.open) throw this.#gone(doing);
  }

  #checkMessages(): void {
    this.#check("send a message");
    if (this.#refused) throw this.#takesNone();
  }

  #takesNone(): TypeError {
    const { receiver } = this.#direction;
    return new TypeError(`Cannot send a message: the ${receiver} takes none (it has no \`message\` handler)`);
  }

  #gone(doing: string): PeerGoneError {
    return new PeerGoneError(`Cannot ${doing}: the ${this.#direction.receiver} is gone`);
  }

  #backlog(): BacklogError {
    const { count, bytes } = this.#messages;
    return new BacklogError(
      `Cannot send a message: ${count} messages of ${bytes} bytes are under way, and the ${this.#direction.receiver} ` +
        "has not read them; wait with sendAsync(), or leave messages out",
    );
  }
}

/**
 * Checks how long to wait.
 *
 * @throws {TypeError} or {RangeError} if an option is not valid
 */
export function checkMessageOptions(options: MessageOptions): void {
  if (typeof options !== "object" || options === null) {
    throw new TypeError("Cannot send: the options must be an object such as { timeout: 1000 }");
  }
  millisecondsOf(options);
  signalOf(options)?.throwIfAborted();
}
