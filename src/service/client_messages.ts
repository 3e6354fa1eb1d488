import { answering, type RequestHandler } from "../exchange/messages_handlers.ts";
import { MessageQueue, Messages } from "../exchange/messages_queue.ts";
import { type MessageValue, packValue, type RegionOpener, unpackValue } from "../exchange/messages_values.ts";
import type { ClientLink } from "../link/client_link.ts";
import type { MessageHandlers } from "../link/messages_inbox.ts";
import type { MessageOptions } from "../link/messages_outbox.ts";
import { PeerGoneError } from "../sync/errors.ts";
import { Gate } from "./gate.ts";

/** The messages of a client, over all of its servers. */
export class ClientMessages {
  /** What links do with what comes. */
  readonly handlers: MessageHandlers;
  /** Opens when the client is connected. */
  readonly gate: Gate = new Gate();
  readonly #open: RegionOpener;
  readonly #queue: MessageQueue;

  /**
   * @param request answers the requests of the server
   * @param open opens the regions that come in messages
   */
  constructor(request: RequestHandler | undefined, open: RegionOpener) {
    this.#open = open;
    this.#queue = new MessageQueue(open);
    this.handlers = {
      request: request && answering((value) => this.gate.pass(() => request(value)), open),
      message: (value) => this.#queue.push(value),
    };
  }

  /** Sends a message by the link that lives. */
  send(link: ClientLink | undefined, value: MessageValue): void {
    if (link === undefined) throw new PeerGoneError("Cannot send a message: the server is gone");
    link.outbox.send(packValue(value));
  }

  /** Sends a message, and waits for room before. */
  async sendAsync(link: ClientLink, value: MessageValue, options: MessageOptions): Promise<void> {
    await link.outbox.sendAsync(packValue(value), options);
  }

  /** Sends a request and waits for the answer. */
  async request(link: ClientLink, value: MessageValue, options: MessageOptions): Promise<MessageValue> {
    return unpackValue(await link.outbox.request(packValue(value), options), this.#open);
  }

  /** Gives the messages that come. */
  messages(signal: AbortSignal | undefined): Messages {
    return new Messages(this.#queue, signal);
  }

  /** The client was closed: nobody gets what is left. */
  close(): void {
    this.#queue.end(undefined, true);
  }

  /** The server is gone for good: what came before can be taken still. */
  orphan(error: Error): void {
    this.#queue.end(error, false);
  }
}
