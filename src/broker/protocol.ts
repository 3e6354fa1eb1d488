/**
 * The words of `PROTOCOL.md` that both the embedded broker and its clients use.
 *
 * @module
 */
import type { XpcRecord, XpcValue } from "../xpc/mod.ts";
import { checkServiceName } from "../xpc/service_name.ts";

/** The version of the protocol that this package speaks. */
export const PROTOCOL_VERSION = 1;

/** What a broker allows each peer, and in all. */
export const LIMITS = { registrations: 1024, waiting: 1024, peers: 4096, keys: 64 } as const;

/** The errors of the protocol, and what is said with each. */
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

/** A code of an error. */
export type ErrorCode = keyof typeof MESSAGES;

/** A refusal, on its way to the reply. */
export class Refusal extends Error {
  /** The code. */
  readonly code: ErrorCode;
  /** What goes with it. */
  readonly fields: XpcRecord;

  /** @param field the offending key, for `bad_request` */
  constructor(code: ErrorCode, fields: XpcRecord = {}, field = "") {
    super(MESSAGES[code].replace("FIELD", field));
    this.code = code;
    this.fields = fields;
  }

  /** The reply. */
  get reply(): XpcRecord {
    return { ok: false, code: this.code, message: this.message, ...this.fields };
  }
}

/** Reads the fields of a request, each checked: what comes from a peer is not trusted. */
export class Fields {
  readonly #record: XpcRecord;

  /** @param record the request */
  constructor(record: XpcRecord) {
    this.#record = record;
  }

  /** A string. */
  text(key: string): string {
    const value = this.#record[key];
    if (typeof value !== "string") throw new Refusal("bad_request", {}, key);
    return value;
  }

  /** A string that may be missing. */
  optionalText(key: string): void {
    if (this.#record[key] !== undefined) this.text(key);
  }

  /** A service's name. */
  name(key: string): string {
    const name = this.text(key);
    try {
      checkServiceName(name);
    } catch {
      throw new Refusal("bad_request", {}, key);
    }
    return name;
  }

  /** An integer from 0 to 2^64 - 1 of either type, or the default where there is none. */
  integer(key: string, otherwise?: bigint): bigint {
    const value: XpcValue | undefined = this.#record[key];
    if (value === undefined && otherwise !== undefined) return otherwise;
    if (typeof value !== "bigint" || value < 0n) throw new Refusal("bad_request", {}, key);
    return value;
  }

  /** A generation, or the default where there is none. */
  generation(key: string, otherwise?: number): number {
    if (this.#record[key] === undefined && otherwise !== undefined) return otherwise;
    const value = this.integer(key);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new Refusal("bad_request", {}, key);
    return Number(value);
  }

  /** A boolean, or the default where there is none. */
  flag(key: string, otherwise: boolean): boolean {
    const value = this.#record[key];
    if (value === undefined) return otherwise;
    if (typeof value !== "boolean") throw new Refusal("bad_request", {}, key);
    return value;
  }
}
