import type { IncomingMessage } from "../xpc/incoming_message.ts";
import type { XpcRecord } from "../xpc/mod.ts";
import type { ServerLink } from "./server_link.ts";

/**
 * Answers one request of a client that said hello. The result is sent with `ok: true`, and then disposed.
 *
 * @throws {LinkRefusal} to refuse; any other error becomes `failed`
 */
export type Operation = (link: ServerLink, message: IncomingMessage) => XpcRecord | Promise<XpcRecord>;

/** What one kind of shared thing adds to a server: regions, streams, … */
export interface HostPart {
  /** Its requests, by `op`. */
  readonly operations: Readonly<Record<string, Operation>>;
  /** What it adds to the reply to `describe`. */
  describe(): XpcRecord;
  /** A client is gone. What it shared with this part must not be used any more after this call. */
  forget(link: ServerLink): void;
  /** Ends its waits and gives its memory back. */
  close(): Promise<void>;
}
