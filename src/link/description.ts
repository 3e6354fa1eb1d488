import { disposeValue, type XpcRecord } from "../xpc/mod.ts";
import type { ClientAccess } from "./linked_region.ts";
import { integerOf } from "./protocol.ts";

/** What a server tells of a region. */
export interface RegionDescription {
  /** The name. */
  readonly name: string;
  /** The length, in bytes. */
  readonly byteLength: number;
  /** What clients may do. */
  readonly clients: ClientAccess;
  /** How often it was replaced, plus 1. */
  readonly generation: number;
  /** The number of commits. */
  readonly revision: number;
}

/** The regions in the reply to `describe`, without those that do not follow the protocol; disposes the reply. */
export function regionsIn(reply: XpcRecord): RegionDescription[] {
  const { regions } = reply;
  disposeValue(reply);
  if (!Array.isArray(regions)) return [];
  return regions.flatMap((region) => {
    if (typeof region !== "object" || region === null) return [];
    const { name, clients, byteLength, generation, revision } = region as XpcRecord;
    if (typeof name !== "string" || (clients !== "read" && clients !== "write")) return [];
    const most = Number.MAX_SAFE_INTEGER;
    return [{
      name,
      byteLength: integerOf(byteLength, most) ?? 0,
      clients,
      generation: integerOf(generation, most) ?? 0,
      revision: integerOf(revision, most) ?? 0,
    }];
  });
}
