import type { IncomingMessage } from "../xpc/incoming_message.ts";
import type { XpcRecord } from "../xpc/mod.ts";
import { Inbox, type MessageHandlers } from "./messages_inbox.ts";
import { Outbox, TO_CLIENT, TO_SERVER } from "./messages_outbox.ts";
import type { HostPart } from "./operations.ts";
import type { ServerLink } from "./server_link.ts";

/** A client as the messages of a server see it. */
export interface Correspondent {
  /** Its process, from the kernel. */
  readonly pid: number;
  /** What it calls itself; empty without a label. */
  readonly label: string;
  /** What the server sends to it. */
  readonly outbox: Outbox;
  /** Resolves when its link has ended. */
  readonly closed: Promise<unknown>;
  /** Ends its link. */
  disconnect(): Promise<void>;
}

/** What a server does with the messages of its clients. */
export interface ServerMessages {
  /** A client said hello: gives what to do with its messages. */
  connected(client: Correspondent): MessageHandlers;
}

/** The messages of a server: an inbox and an outbox for each client. */
export class MessagesPart implements HostPart {
  readonly operations = {};
  readonly #messages: ServerMessages;
  readonly #inboxes = new Map<ServerLink, Inbox>();

  /** @param messages what to do with them */
  constructor(messages: ServerMessages) {
    this.#messages = messages;
  }

  /** Messages are no part of the description. */
  describe(): XpcRecord {
    return {};
  }

  /** A client said hello. */
  welcome(link: ServerLink): void {
    const { connection, label } = link;
    const handlers = this.#messages.connected({
      pid: connection.peer.pid,
      label,
      outbox: new Outbox(connection, TO_CLIENT),
      closed: connection.closed,
      disconnect: () => connection.close(),
    });
    const inbox = new Inbox(TO_SERVER, handlers);
    inbox.join(connection);
    this.#inboxes.set(link, inbox);
  }

  /**
   * Takes a message that is of this kind.
   *
   * @param link of the client, if it said hello
   */
  receive(link: ServerLink | undefined, message: IncomingMessage): boolean {
    const inbox = link === undefined ? STRANGER : this.#inboxes.get(link);
    return inbox?.receive(message, link !== undefined) ?? false;
  }

  forget(link: ServerLink): void {
    this.#inboxes.delete(link);
  }

  /** The connections end with the host. */
  async close(): Promise<void> {}
}

/** Refuses what comes before hello. */
const STRANGER = new Inbox(TO_SERVER, {});
