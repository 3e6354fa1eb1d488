import { aborted } from "../broker/abort.ts";
import type { BrokerClient } from "../broker/broker_client.ts";
import { RefusedError } from "../broker/replies.ts";
import { ClientLink } from "../link/client_link.ts";
import { IncompatibleError } from "../link/errors.ts";
import type { MessageHandlers } from "../link/messages_inbox.ts";
import type { Endpoint } from "../xpc/endpoint.ts";
import { EventQueue } from "../xpc/event_queue.ts";
import { ConnectionError } from "../xpc/mod.ts";

/** Where a server can be reached. */
export interface Found {
  /** Where to connect; disposed after the first attempt. */
  readonly endpoint: Endpoint;
  /** The generation of its registration. */
  readonly generation: number;
}

/** What a client asks of its server. */
export interface SearchTarget {
  /** The name of the service. */
  readonly name: string;
  /** The hash of the schema, or `null`. */
  readonly schema: Uint8Array | null;
  /** A code-signing requirement for the server. */
  readonly requirement: string | undefined;
  /** What the client calls itself. */
  readonly label: string | undefined;
  /** What to do with the messages of the server. */
  readonly messages: MessageHandlers;
}

/** The first and the longest pause before the same server is tried again, in milliseconds. */
const FIRST_PAUSE = 20;
const LONGEST_PAUSE = 2000;

/** How many attempts in a row one server may fail before that is reported. */
const MAX_FAILURES = 8;

/**
 * Finds the server of a name and connects to it.
 *
 * A registration is no proof of life, and a connection that fails no proof of death: either process may be out of
 * descriptors for a moment. So the search waits for a newer registration, but tries the known one again after a pause.
 */
export class ServerSearch {
  readonly #broker: BrokerClient;
  readonly #target: SearchTarget;

  /** The broker client stays the caller's. */
  constructor(broker: BrokerClient, target: SearchTarget) {
    this.#broker = broker;
    this.#target = target;
  }

  /**
   * Searches until it is connected. The first error that is not a matter of time ends it.
   *
   * @param signal ends the search
   * @param first where to try first
   * @throws {ConnectionError} if a server that the broker knows cannot be reached, several times in a row
   * @throws {IncompatibleError} if the server has another version or schema
   * @throws {BrokerUnavailableError} if no broker can be reached
   * @throws the signal's reason, if it aborts first
   */
  async once(signal: AbortSignal, first?: Found): Promise<ClientLink> {
    let found = first ?? await this.#lookup(0, signal);
    for (let failures = 0;;) {
      try {
        return await this.#connect(found, signal);
      } catch (error) {
        if (!(error instanceof ConnectionError) || ++failures === MAX_FAILURES) throw error;
      }
      const failed = found.generation;
      found = await this.#lookupAgain(failed, failures, signal);
      if (found.generation !== failed) failures = 0;
    }
  }

  /**
   * Searches for the successor of a server that is gone, until it is connected, whatever happens meanwhile.
   *
   * @param signal ends the search
   * @param trouble receives what keeps it from the server, and `undefined` when a server is found
   * @throws {IncompatibleError} if the next server has another version or schema
   * @throws the signal's reason, if it aborts first
   */
  async again(signal: AbortSignal, trouble: (error: Error | undefined) => void): Promise<ClientLink> {
    for (let attempt = 0;; attempt++) {
      try {
        const link = await this.once(signal);
        trouble(undefined);
        return link;
      } catch (error) {
        if (signal.aborted || error instanceof IncompatibleError) throw error;
        trouble(error as Error);
      }
      await pause(attempt, signal);
    }
  }

  async #connect({ endpoint, generation: _ }: Found, signal: AbortSignal): Promise<ClientLink> {
    using used = endpoint;
    const { name: _name, ...target } = this.#target;
    const queue = await EventQueue.acquire();
    return await ClientLink.open(queue, { endpoint: used, ...target }, signal);
  }

  /** Waits for a newer registration than the one that failed, or for a pause and then for any. */
  async #lookupAgain(failed: number, failures: number, signal: AbortSignal): Promise<Found> {
    const pauseOver = AbortSignal.timeout(pauseOf(failures));
    try {
      return await this.#lookup(failed, AbortSignal.any([signal, pauseOver]));
    } catch (error) {
      if (signal.aborted || error !== pauseOver.reason) throw error;
      return await this.#lookup(0, signal);
    }
  }

  async #lookup(after: number, signal: AbortSignal): Promise<Found> {
    const { name } = this.#target;
    try {
      return await this.#broker.lookup(name, after, signal);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      throw new Error(`Cannot find "${name}": ${error.message}`, { cause: error });
    }
  }
}

function pauseOf(attempt: number): number {
  return Math.min(FIRST_PAUSE * 2 ** attempt, LONGEST_PAUSE);
}

async function pause(attempt: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, pauseOf(attempt));
  try {
    await aborted(promise, signal);
  } finally {
    clearTimeout(timer);
  }
}
