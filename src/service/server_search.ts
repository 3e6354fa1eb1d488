import { pause } from "../broker/abort.ts";
import type { BrokerClient, BrokerSelection } from "../broker/broker_client.ts";
import { type FoundService, RefusedError } from "../broker/replies.ts";
import { ClientLink } from "../link/client_link.ts";
import { IncompatibleError } from "../link/errors.ts";
import type { MessageHandlers } from "../link/messages_inbox.ts";
import { EventQueue } from "../xpc/event_queue.ts";
import type { LinkedRegion } from "../link/linked_region.ts";
import { ConnectionError } from "../xpc/mod.ts";
import { ServiceNotFoundError } from "./errors.ts";
import { findNow } from "./find_now.ts";

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
  /** What there is for the next server. */
  readonly estate: () => readonly LinkedRegion[];
  /** Called when the server says that its regions are others. */
  readonly regionsChanged: (() => void) | undefined;
}

/** The first and the longest pause before the same server is tried again, in milliseconds. */
const FIRST_PAUSE = 20;
const LONGEST_PAUSE = 2000;

/** How long a server may take to answer hello where the caller does not want to wait, in milliseconds. */
const HELLO_PATIENCE = 5000;

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
   * @throws {ConnectionError} if a server that the broker knows cannot be reached, several times in a row
   * @throws {IncompatibleError} if the server has another version or schema
   * @throws {BrokerUnavailableError} if no broker can be reached
   * @throws the signal's reason, if it aborts first
   */
  async once(signal: AbortSignal): Promise<ClientLink> {
    return await this.from(await this.#lookup(0, signal), signal);
  }

  /**
   * Searches as {@linkcode once} does, and tries a server that is known first.
   *
   * @param first where to try first
   * @param signal ends the search
   */
  async from(first: FoundService, signal: AbortSignal): Promise<ClientLink> {
    let found = first;
    for (let failures = 0;;) {
      try {
        return await this.at(found, signal);
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
      await pause(pauseOf(attempt), signal);
    }
  }

  /**
   * Connects to the server that is registered now.
   *
   * @param signal ends the search
   * @param selection which broker to ask
   * @throws {ServiceNotFoundError} if there is none, or it cannot be reached
   * @throws {IncompatibleError} if the server has another version or schema
   * @throws {BrokerUnavailableError} if no broker can be reached, and this process could not become the broker either
   * @throws the signal's reason, if it aborts first
   */
  async now(signal: AbortSignal, selection: BrokerSelection | undefined): Promise<ClientLink> {
    const { name } = this.#target;
    for (let failures = 0;;) {
      const found = await findNow(name, selection, signal);
      const patience = AbortSignal.timeout(HELLO_PATIENCE);
      try {
        return await this.at(found, AbortSignal.any([signal, patience]));
      } catch (error) {
        if (signal.aborted) throw error;
        const isLate = error === patience.reason;
        if (!isLate && !(error instanceof ConnectionError)) throw error;
        if (isLate || ++failures === MAX_FAILURES) {
          const why = "its server is registered but does not answer";
          throw new ServiceNotFoundError(name, why, { cause: error });
        }
      }
      await pause(failures - 1, signal);
    }
  }

  /**
   * Connects to a server, once.
   *
   * @param found where; disposed
   * @param signal ends the attempt
   * @throws {ConnectionError} if it cannot be reached
   * @throws {IncompatibleError} if the server has another version or schema
   * @throws the signal's reason, if it aborts first
   */
  async at({ endpoint }: FoundService, signal: AbortSignal): Promise<ClientLink> {
    using used = endpoint;
    const { name: _, ...target } = this.#target;
    const queue = await EventQueue.acquire();
    return await ClientLink.open(queue, { ...target, endpoint: used }, signal);
  }

  /** Waits for a newer registration than the one that failed, or for a pause and then for any. */
  async #lookupAgain(failed: number, failures: number, signal: AbortSignal): Promise<FoundService> {
    const pauseOver = AbortSignal.timeout(pauseOf(failures));
    try {
      return await this.#lookup(failed, AbortSignal.any([signal, pauseOver]));
    } catch (error) {
      if (signal.aborted || error !== pauseOver.reason) throw error;
      return await this.#lookup(0, signal);
    }
  }

  async #lookup(after: number, signal: AbortSignal): Promise<FoundService> {
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
