/**
 * The parts of `agent/PROTOCOL.md` that the embedded broker and its clients share: version, limits and errors.
 *
 * @module
 */
import type { XpcRecord } from "../xpc/mod.ts";

/** The version of the protocol that this package speaks. */
export const PROTOCOL_VERSION = 1;

/** The limits of a broker. */
export const LIMITS = {
  /** Registrations of one peer. */
  registrations: 1024,
  /** Waiting lookups of one peer. */
  waiting: 1024,
  /** Peers that are connected. */
  peers: 4096,
  /** Keys of a request. */
  keys: 64,
  /** Services in a reply to `list` or `watch`: more could exceed the longest message. */
  listed: 8192,
  /** How long a peer may stay connected without hello, in milliseconds. */
  silence: 5000,
} as const;

/** The codes of the protocol's errors, and the message of each. */
export const MESSAGES = {
  bad_request: "Cannot read the request: FIELD is missing, of another type or out of range",
  unknown_op: "Cannot find this operation: the request asks for another than version 1 has",
  hello_first: "Cannot serve a request before hello",
  unsupported_version: "Cannot agree on a version: this broker speaks 1 to 1",
  name_taken: "Cannot register this name: another app serves it",
  not_found: "Cannot find a service of this name",
  not_registered: "Cannot unregister this name: nobody serves it",
  not_owner: "Cannot unregister this name: another registration holds it",
  cancelled: "Cannot answer this lookup: it was cancelled",
  limit: "Cannot take more: a limit of this broker is reached",
  terminating: "Cannot serve this request: the broker is about to end",
} as const;

/** The code of an error. */
export type ErrorCode = keyof typeof MESSAGES;

/** Thrown by an operation that the broker refuses. */
export class Refusal extends Error {
  /** The code of the error. */
  readonly code: ErrorCode;
  /** Further fields of the reply. */
  readonly fields: XpcRecord;

  /**
   * @param code the code of the error
   * @param fields further fields of the reply
   * @param field the offending key, for `bad_request`
   */
  constructor(code: ErrorCode, fields: XpcRecord = {}, field = "") {
    super(MESSAGES[code].replace("FIELD", field));
    this.code = code;
    this.fields = fields;
  }

  /** The reply that says so. */
  get reply(): XpcRecord {
    return { ok: false, code: this.code, message: this.message, ...this.fields };
  }
}

/**
 * The reply to a request whose operation threw. A reply that is too large or too deep to be sent is a limit; what is
 * neither that nor a {@linkcode Refusal} is a fault of the broker's own, which its peer learns in words.
 *
 * @param error what was thrown
 * @returns the reply
 */
export function replyTo(error: unknown): XpcRecord {
  if (error instanceof Refusal) return error.reply;
  if (error instanceof RangeError) return new Refusal("limit").reply;
  const reason = error instanceof Error ? error.message : String(error);
  // A message of XPC holds no NUL and no lone surrogate.
  const text = reason.replaceAll("\0", "").toWellFormed();
  return { ok: false, code: "failed", message: `Cannot perform the request: ${text}` };
}
