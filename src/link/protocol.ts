/**
 * What server and client say to each other on their direct connection, version 1. Requests are dictionaries with
 * `op`, replies have `ok`; a refusal has `code` and `message`.
 *
 * | op | request | reply |
 * | --- | --- | --- |
 * | `hello` | `version`, `layout` (uint64); `schema` (data: SHA-256, or null); `words` (shmem: the client's words) | `owner` (uint64); `server` (fd: the server's words); `locks` (shmem) |
 * | `open` | `name` | `index`, `generation`, `byteLength` (uint64); `memory` (shmem or fd) |
 * | `bell` | `bell` (fd) | |
 * | `describe` | | `regions`: array of `{name, byteLength, clients, generation, revision}`; also before hello |
 *
 * Without a reply: `{op: "committed", index}`, a client's doorbell where it has no better one; and from the server
 * `{event: "bell", bell: fd}`, how to ring it.
 *
 * @module
 */
import { LAYOUT_VERSION } from "./layout.ts";
import type { XpcRecord, XpcValue } from "../xpc/mod.ts";

/** The version of this exchange. */
export const LINK_VERSION = 1n;

/** The layout as it travels. */
export const LAYOUT = BigInt(LAYOUT_VERSION);

/** Why a server refuses. */
export type LinkCode = "bad_request" | "hello_first" | "incompatible" | "not_found" | "failed";

/** A refusal, on its way to the reply. */
export class LinkRefusal extends Error {
  /** Why. */
  readonly code: LinkCode;

  constructor(code: LinkCode, message: string) {
    super(message);
    this.code = code;
  }

  /** The reply. */
  get reply(): XpcRecord {
    return { ok: false, code: this.code, message: this.message };
  }
}

/** The hash of a schema, for comparison only. */
export async function hashSchema(schema: string | undefined): Promise<Uint8Array | null> {
  if (schema === undefined) return null;
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(schema)));
}

/** Whether two hashes are the same; a side without a schema fits only one without. */
export function sameSchema(ours: Uint8Array | null, theirs: XpcValue | undefined): boolean {
  if (ours === null) return theirs === null || theirs === undefined;
  return theirs instanceof Uint8Array && theirs.length === ours.length &&
    ours.every((byte, index) => byte === theirs[index]);
}

/** An integer of a peer, from 0 to `most`; undefined for all else. */
export function integerOf(value: XpcValue | undefined, most: number): number | undefined {
  return typeof value === "bigint" && value >= 0n && value <= BigInt(most) ? Number(value) : undefined;
}
