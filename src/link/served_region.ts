import { isLayout } from "../layout/layout.ts";
import type { Layout } from "../layout/types.ts";
import { Mapping } from "../memory/mapping.ts";
import { DEFAULT_TILE_BYTES, isTileBytes } from "../sync/tiles.ts";
import { inWords } from "../xpc/in_words.ts";
import type { ClientAccess } from "./linked_region.ts";
import { isLabel } from "./protocol.ts";
import { bytesBehind } from "./tile_bytes.ts";

/** The length of a region or its layout, and what clients may do with it. */
export interface RegionOptions {
  /**
   * The length, in bytes. It can be left out where there is a layout.
   *
   * @default {layout.byteLength}
   */
  byteLength?: number | undefined;
  /**
   * What lies at the beginning of the region. The region may be longer.
   *
   * @default {undefined}
   */
  layout?: Layout | undefined;
  /**
   * What clients may do: `"write"` too, or only `"read"`, which the kernel enforces. It cannot change later.
   *
   * @default {"write"}
   */
  clients?: ClientAccess | undefined;
  /**
   * Whether to make all pages resident now, instead of each at its first touch.
   *
   * @default {false}
   */
  prefault?: boolean | undefined;
  /**
   * The length of a tile, in bytes: what `commit(ranges)` and `copyChanges()` take for changed together. A multiple of
   * 64, from 64 to 2 ** 30. Each tile takes 8 bytes more.
   *
   * @default {65536}
   */
  tileBytes?: number | undefined;
}

/**
 * Checks the name of a region.
 *
 * @throws {TypeError} if it is not a string of 1 to 128 printable characters that survives a trip through UTF-8
 */
export function checkRegionName(name: unknown): asserts name is string {
  if (isLabel(name)) return;
  throw new TypeError(
    `Cannot use the region name ${inWords(name)}: a region name is a string of 1 to 128 printable characters`,
  );
}

/**
 * Checks the options of a region.
 *
 * @throws {TypeError} or {RangeError} if an option is not valid; the message names it
 */
export function checkRegionOptions(name: string, options: unknown): asserts options is RegionOptions {
  const wrong = (option: string, value: unknown, want: string): string => {
    return `Cannot make the region "${name}": \`${option}\` is ${inWords(value)}, but must be ${want}`;
  };
  if (typeof options !== "object" || options === null) {
    throw new TypeError(
      `Cannot make the region "${name}" from ${inWords(options)}: its options are an object such as ` +
        `{ byteLength: 1024 }`,
    );
  }
  const { byteLength: wanted, layout, clients, prefault, tileBytes } = options as {
    [option: string]: unknown;
  };
  if (layout !== undefined && !isLayout(layout)) {
    throw new TypeError(wrong("layout", layout, "a layout that layout() made"));
  }
  const byteLength = wanted ?? layout?.byteLength;
  if (typeof byteLength !== "number") {
    throw new TypeError(wrong("byteLength", byteLength, "a number of bytes"));
  }
  if (!Number.isSafeInteger(byteLength) || byteLength <= 0) {
    throw new RangeError(wrong("byteLength", byteLength, "an integer above 0"));
  }
  if (layout !== undefined && byteLength < layout.byteLength) {
    throw new RangeError(
      wrong("byteLength", byteLength, `at least ${layout.byteLength}, the length of the layout`),
    );
  }
  if (clients !== undefined && clients !== "write" && clients !== "read") {
    throw new TypeError(wrong("clients", clients, '"write" or "read"'));
  }
  if (prefault !== undefined && typeof prefault !== "boolean") {
    throw new TypeError(wrong("prefault", prefault, "true or false"));
  }
  if (tileBytes !== undefined && typeof tileBytes !== "number") {
    throw new TypeError(wrong("tileBytes", tileBytes, "a number of bytes"));
  }
  if (tileBytes !== undefined && !isTileBytes(tileBytes)) {
    throw new RangeError(wrong("tileBytes", tileBytes, "a multiple of 64 from 64 to 2 ** 30"));
  }
}

/** Makes the memory of a region. */
export async function makeMapping(name: string, options: RegionOptions): Promise<Mapping> {
  const { layout, byteLength = layout?.byteLength ?? 0, clients = "write" } = options;
  const { prefault = false, tileBytes = DEFAULT_TILE_BYTES } = options;
  const behind = bytesBehind(byteLength, tileBytes);
  return await Mapping.create(byteLength, { readOnlyForOthers: clients === "read", prefault, name, behind });
}
