/**
 * What server and client say to each other on their direct connection: see `PROTOCOL.md`.
 *
 * @module
 */
import { BELLS } from "./features.ts";
import { LAYOUT_VERSION } from "./layout.ts";
import { FileDescriptor, SharedMemory, type XpcRecord, type XpcValue } from "../xpc/mod.ts";

/** The oldest and the newest version of the protocol that this side speaks. */
export const OLDEST_VERSION = 1n;
export const NEWEST_VERSION = 1n;

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

/** The fields of a hello, checked up to the schema. */
interface Hello {
  readonly version: bigint;
  readonly words: SharedMemory;
  /** The client's doorbell, where it wants to exchange them now; `undefined` where it has none. */
  readonly bell: FileDescriptor | undefined;
  /** Whether it wants to exchange doorbells. */
  readonly bells: boolean;
  /** What the client calls itself; empty without a label. */
  readonly label: string;
}

/**
 * Checks a hello and picks the version, in the order that `PROTOCOL.md` lists.
 *
 * @throws {LinkRefusal} with the first thing that is wrong
 */
export function checkHello(values: XpcRecord, ours: Uint8Array | null, again: boolean): Hello {
  const { layout, schema, words, features = [], label = "" } = values;
  const min = unsignedOf(values["min"], "min");
  const max = unsignedOf(values["max"], "max");
  if (min > max) throw new LinkRefusal("bad_request", "Cannot read hello: min is above max");
  const version = max < NEWEST_VERSION ? max : NEWEST_VERSION;
  if (version < OLDEST_VERSION || version < min) {
    throw new LinkRefusal(
      "incompatible",
      `Cannot connect: the server speaks version ${OLDEST_VERSION} to ${NEWEST_VERSION} of @xpc/shmem, ` +
        `the client ${min} to ${max}`,
    );
  }
  if (unsignedOf(layout, "layout") !== LAYOUT) {
    throw new LinkRefusal(
      "incompatible",
      `Cannot connect: the server has layout ${LAYOUT} of @xpc/shmem, the client ${layout}`,
    );
  }
  if (!(words instanceof SharedMemory)) {
    throw new LinkRefusal("bad_request", "Cannot read hello: words is not shared memory");
  }
  if (schema !== undefined && schema !== null && !(schema instanceof Uint8Array)) {
    throw new LinkRefusal("bad_request", "Cannot read hello: schema is not data");
  }
  if (!Array.isArray(features) || features.some((feature) => typeof feature !== "string")) {
    throw new LinkRefusal("bad_request", "Cannot read hello: features is not an array of strings");
  }
  const bells = features.includes(BELLS);
  const { bell = undefined } = bells ? values : {};
  if (bell !== undefined && !(bell instanceof FileDescriptor)) {
    throw new LinkRefusal("bad_request", "Cannot read hello: bell is not a file descriptor");
  }
  if (label !== "" && !isLabel(label)) {
    throw new LinkRefusal(
      "bad_request",
      "Cannot read hello: label is not a string of at most 128 printable characters",
    );
  }
  if (again) throw new LinkRefusal("bad_request", "Cannot say hello twice");
  if (!sameSchema(ours, schema)) {
    throw new LinkRefusal("incompatible", "Cannot connect: the schemas of client and server differ");
  }
  return { version, words, label, bell, bells };
}

/** Whether a value is a label: a string of 1 to 128 printable characters that survives a trip through UTF-8. */
export function isLabel(value: unknown): value is string {
  // Control characters, and the byte order mark, which a decoder drops at the start of a text.
  // deno-lint-ignore no-control-regex -- they are what is refused
  return typeof value === "string" && /^[^\x00-\x1f\x7f-\x9f\ufeff]{1,128}$/.test(value) &&
    value.isWellFormed();
}

function unsignedOf(value: XpcValue | undefined, key: string): bigint {
  if (typeof value === "bigint" && value >= 0n) return value;
  throw new LinkRefusal(
    "bad_request",
    `Cannot read hello: ${key} is missing, of another type or out of range`,
  );
}

/** Whether two hashes are the same; a side without a schema fits only one without. */
function sameSchema(ours: Uint8Array | null, theirs: XpcValue | undefined): boolean {
  if (ours === null) return theirs === null || theirs === undefined;
  return theirs instanceof Uint8Array && theirs.length === ours.length &&
    ours.every((byte, index) => byte === theirs[index]);
}

/** An integer of a peer, from 0 to `most`; undefined for all else. */
export function integerOf(value: XpcValue | undefined, most: number): number | undefined {
  return typeof value === "bigint" && value >= 0n && value <= BigInt(most) ? Number(value) : undefined;
}
