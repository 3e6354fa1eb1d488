import { ConnectedClient } from "../exchange/connected_client.ts";
import { answering, taking } from "../exchange/messages_handlers.ts";
import type { MessageValue, RegionOpener } from "../exchange/messages_values.ts";
import type { MessageHandlers } from "../link/messages_inbox.ts";
import type { Correspondent, ServerMessages } from "../link/messages_part.ts";
import { Gate } from "./gate.ts";

/** What a server does with what its clients send. */
export interface ServerHandlers {
  /**
   * Answers the requests of clients: what it returns is the answer, what it throws reaches the client as a
   * {@linkcode RemoteError}. Requests may be answered at the same time. Check the value: any client can send anything.
   * Descriptors and the like in it are closed after the answer.
   */
  request?:
    | ((value: MessageValue, client: ConnectedClient) => MessageValue | void | Promise<MessageValue | void>)
    | undefined;
  /**
   * Takes the messages of clients. Messages of one client come in their order. A promise that it returns keeps the
   * message under way, so that a client waits that sends more than this handler takes. What it throws is printed.
   */
  message?: ((value: MessageValue, client: ConnectedClient) => void | Promise<void>) | undefined;
}

/** The clients of a server, and what it does with their messages. */
export class ServerPeers implements ServerMessages {
  /** Those that are there. */
  readonly peers: ReadonlySet<ConnectedClient>;
  /** Opens when the server has registered. */
  readonly gate: Gate = new Gate();
  readonly #peers = new Set<ConnectedClient>();
  readonly #handlers: ServerHandlers;
  #regions: RegionOpener | undefined;

  /** @param handlers what to do with messages */
  constructor(handlers: ServerHandlers) {
    this.peers = this.#peers;
    this.#handlers = handlers;
  }

  /** Says how to open the regions that come in messages; before the server registers, so before any can come. */
  openBy(open: RegionOpener): void {
    this.#regions = open;
  }

  readonly #open: RegionOpener = (name, options) => this.#regions!(name, options);

  connected(correspondent: Correspondent): MessageHandlers {
    const client = new ConnectedClient(correspondent, this.#open);
    this.#peers.add(client);
    void correspondent.closed.then(() => this.#peers.delete(client));
    const { request, message } = this.#handlers;
    const who = `process ${client.pid}`;
    return {
      request: request && answering((value) => this.gate.pass(() => request(value, client)), this.#open),
      message: message && taking((value) => this.gate.pass(() => message(value, client)), this.#open, who),
    };
  }
}
