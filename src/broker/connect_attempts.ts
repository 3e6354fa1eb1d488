import { ConnectionError } from "../xpc/mod.ts";
import { backOff } from "./abort.ts";
import { BrokerConnection, ForeignBrokerError } from "./broker_connection.ts";
import { type EmbeddedBroker, startEmbedded, startInRealm } from "./embedded_broker.ts";
import { BrokerUnavailableError } from "./errors.ts";
import { type BrokerEvent, InvalidReplyError, RefusedError } from "./replies.ts";
import { isStarved } from "./starvation.ts";

/** The longest pause between two tries, in milliseconds. */
const LONGEST_PAUSE = 500;

/**
 * How long a fault of the environment may last, in milliseconds: before the first connection, when the caller waits
 * for `serve` or `connect`, and later, when a short fault should not end what works.
 */
const FAULT_PATIENCE = { first: 1000, later: 30_000 } as const;

/** How long a first connection waits for a broker that is there and does not answer, in milliseconds. */
const SILENCE_PATIENCE = 30_000;

/** The reason of a broker that came too late: another process listens. */
const OTHER_LISTENS = /has a listener already/;

/** Receives what happens on the connections. */
export interface ConnectionEvents {
  /** The broker sent an event. */
  event(event: BrokerEvent): void;
  /** The broker has ended. */
  ended(connection: BrokerConnection): void;
}

/**
 * Connects a realm to a broker, again and again. Where no broker answers, this realm becomes the broker if it may.
 *
 * What can pass by itself is tried again with growing pauses. What cannot is thrown as a
 * {@linkcode BrokerUnavailableError}: no broker where none may be made, a broker of another user or version, and a
 * fault of the environment that lasts, such as a runtime folder that cannot be written.
 */
export class ConnectAttempts {
  readonly #service: string;
  readonly #embedded: boolean;
  readonly #events: ConnectionEvents;
  #broker: EmbeddedBroker | undefined;
  /** Why this process could not become the broker at the last try. */
  #fault: string | undefined;
  /** How often this process tried to become the broker since the last connection. */
  #tries = 0;
  #wasConnected = false;

  /**
   * @param service the broker's Mach service
   * @param embedded whether this realm may become the broker
   * @param events receives what happens on the connections
   */
  constructor(service: string, embedded: boolean, events: ConnectionEvents) {
    this.#service = service;
    this.#embedded = embedded;
    this.#events = events;
  }

  /**
   * Connects.
   *
   * @param signal ends the attempts
   * @returns the connection
   * @throws {BrokerUnavailableError} if no broker can be reached
   * @throws the signal's reason, if it aborts first
   */
  async connect(signal: AbortSignal): Promise<BrokerConnection> {
    this.#tries = 0;
    const began = performance.now();
    for (let attempt = 0;; attempt++) {
      try {
        return await this.#open(signal);
      } catch (error) {
        const reason = this.#permanent(error);
        if (reason !== undefined) throw new BrokerUnavailableError(this.#service, reason);
        await this.#overcome(error as Error, performance.now() - began);
      }
      await backOff(attempt, LONGEST_PAUSE, signal);
    }
  }

  /** Ends the broker, if this realm runs it. */
  async close(): Promise<void> {
    await this.#broker?.close();
  }

  async #open(signal: AbortSignal): Promise<BrokerConnection> {
    let endedEarly = false;
    let ended = (): void => void (endedEarly = true);
    const connection = await BrokerConnection.open(this.#service, {
      name: `deno ${Deno.pid}`,
      signal,
      event: (event) => this.#events.event(event),
      ended: () => ended(),
    });
    if (endedEarly) { // right after its reply to hello
      await connection.close();
      throw new ConnectionError("Cannot use the broker: it has just ended", "interrupted");
    }
    ended = () => this.#events.ended(connection);
    this.#wasConnected = true;
    this.#fault = undefined;
    return connection;
  }

  /** The reason for which there is no use in another try. Throws what is no failure to reach a broker. */
  #permanent(error: unknown): string | undefined {
    if (error instanceof RefusedError) return error.code === "terminating" ? undefined : error.message;
    if (error instanceof ForeignBrokerError || error instanceof InvalidReplyError) return error.message;
    if (!(error instanceof ConnectionError) && !isTimeout(error)) throw error;
    // Where a broker was, the system starts the next one, or the user installs it.
    if (isTimeout(error) || this.#embedded || this.#wasConnected) return undefined;
    return reasonOf(error);
  }

  /** Makes the next try more likely to succeed, or throws if the fault has lasted too long. */
  async #overcome(error: Error, elapsed: number): Promise<void> {
    const { first, later } = FAULT_PATIENCE;
    const starved = isStarved(error); // to become the broker would not help
    const fault = starved ? reasonOf(error) : this.#fault;
    if (fault !== undefined && elapsed > (this.#wasConnected ? later : first)) {
      throw new BrokerUnavailableError(this.#service, fault);
    }
    if (!this.#wasConnected && elapsed > SILENCE_PATIENCE) {
      throw new BrokerUnavailableError(this.#service, reasonOf(error));
    }
    // A broker that is there and does not answer keeps its name.
    if (!this.#embedded || this.#broker !== undefined || starved || isTimeout(error)) return;
    try {
      await this.#becomeBroker();
    } catch (error) {
      if (!isStarved(error as Error)) throw error;
      this.#fault = reasonOf(error);
    }
  }

  async #becomeBroker(): Promise<void> {
    // A worker costs some 30 ms: not for a try that is likely to fail again.
    const broker = await (this.#tries++ === 0 ? startEmbedded : startInRealm)(this.#service);
    this.#broker = broker;
    void broker.closed.then((reason) => {
      if (this.#broker === broker) this.#broker = undefined;
      this.#fault = OTHER_LISTENS.test(reason) ? undefined : reason.replace(/^Cannot .*?: /, "");
    });
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof DOMException && error.name === "TimeoutError";
}

/** What a failure says, as part of a sentence. */
function reasonOf(error: unknown): string {
  if (isTimeout(error)) return "it does not answer";
  return (error as Error).message.replace(/^Cannot .*?: /, "");
}
