import type { Correspondent } from "../link/messages_part.ts";
import { checkMessageOptions, type MessageOptions } from "../link/messages_outbox.ts";
import { type MessageValue, packValue, type RegionOpener, unpackValue } from "./messages_values.ts";

/**
 * A client as its server sees it: from its hello until it goes.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { connect, serve } from "@xpc/shmem";
 *
 * await using server = await serve("com.example.peers", { regions: {} });
 * await using client = await connect("com.example.peers", {
 *   label: "viewer",
 *   request: (value) => `${value}, please`,
 * });
 * for (const peer of server.peers) {
 *   assertEquals([peer.name, peer.pid], ["viewer", Deno.pid]);
 *   assertEquals(await peer.request("wait"), "wait, please");
 *   peer.send({ title: "Untitled" });
 * }
 * for await (const message of client.messages()) {
 *   assertEquals(message, { title: "Untitled" });
 *   break;
 * }
 * ```
 */
export class ConnectedClient {
  /** Its process, from the kernel. */
  readonly pid: number;
  /** The `label` that it connected with; empty without one. Not to be trusted. */
  readonly name: string;
  readonly #client: Correspondent;
  readonly #open: RegionOpener;

  /** @internal */
  constructor(client: Correspondent, open: RegionOpener) {
    this.pid = client.pid;
    this.name = client.label;
    this.#client = client;
    this.#open = open;
  }

  /** Resolves when the client is gone. */
  get closed(): Promise<void> {
    return this.#client.closed.then(() => {});
  }

  /**
   * Sends a message, which the client finds in `client.messages()`.
   *
   * @param value the message, captured at once
   * @throws {BacklogError} if 8192 messages or 16 MiB are under way, because the client does not read them
   * @throws {PeerGoneError} if the client is gone
   * @throws {TypeError} for a value that cannot be sent, naming it
   * @throws {RangeError} for one that is too large, too deep or out of range
   */
  send(value: MessageValue): void {
    this.#client.outbox.send(packValue(value));
  }

  /**
   * Sends a message, and waits for room before, where the client is slow.
   *
   * @param value the message, captured when there is room
   * @param options how long to wait
   * @throws {PeerGoneError} if the client is gone
   * @throws {TypeError} for a value that cannot be sent, naming it
   * @throws {RangeError} for one that is too large, too deep or out of range
   * @throws {DOMException} `TimeoutError` if there is no room in time
   * @throws the signal's reason, if it aborts first
   */
  async sendAsync(value: MessageValue, options: MessageOptions = {}): Promise<void> {
    checkMessageOptions(options);
    await this.#client.outbox.sendAsync(packValue(value), options);
  }

  /**
   * Asks the client, whose `request` handler answers.
   *
   * @param value the request, captured at once
   * @param options how long to wait
   * @returns the answer; descriptors and the like in it belong to the caller
   * @throws {RemoteError} if the client's handler threw
   * @throws {PeerGoneError} if the client goes before it answered
   * @throws {TypeError} if the client has no `request` handler, or for a value that cannot be sent
   * @throws {RangeError} for a value that is too large, too deep or out of range
   * @throws {DOMException} `TimeoutError` if there is no answer in time
   * @throws the signal's reason, if it aborts first
   */
  async request(value: MessageValue, options: MessageOptions = {}): Promise<MessageValue> {
    checkMessageOptions(options);
    return unpackValue(await this.#client.outbox.request(packValue(value), options), this.#open);
  }

  /** Ends the client's link, with all that it holds. It may connect again. */
  async disconnect(): Promise<void> {
    await this.#client.disconnect();
  }
}
