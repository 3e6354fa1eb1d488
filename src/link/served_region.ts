import { Mapping } from "../memory/mapping.ts";
import type { ClientAccess, WritableRegion } from "../exchange/region.ts";

/** What a region of a server is to be. */
export interface RegionOptions {
  /** The length, in bytes. */
  byteLength: number;
  /**
   * What clients may do: `"write"` too, or only `"read"`, which the kernel enforces.
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
}

/** A region as the server keeps it, over all its generations. */
export interface ServedRegion {
  readonly name: string;
  readonly index: number;
  readonly clients: ClientAccess;
  readonly mapping: Mapping;
  readonly region: WritableRegion;
}

/**
 * Checks the name of a region.
 *
 * @throws {TypeError} if it is not 1 to 128 characters without control characters
 */
export function checkRegionName(name: string): void {
  // deno-lint-ignore no-control-regex -- they are what is refused
  if (name.length >= 1 && name.length <= 128 && name.isWellFormed() && !/[\x00-\x1f\x7f]/.test(name)) return;
  throw new TypeError(`Cannot name a region ${JSON.stringify(name)}: want 1 to 128 printable characters`);
}

/** Makes the memory of a region. */
export async function makeMapping(name: string, options: RegionOptions): Promise<Mapping> {
  const { byteLength, clients = "write", prefault = false } = options;
  if (clients !== "write" && clients !== "read") {
    throw new TypeError(
      `Cannot make the region "${name}": clients is "write" or "read", current value is "${clients}"`,
    );
  }
  try {
    return await Mapping.create(byteLength, { readOnlyForOthers: clients === "read", prefault });
  } catch (error) {
    if (error instanceof RangeError) throw new RangeError(`${error.message} (region "${name}")`);
    throw error;
  }
}
