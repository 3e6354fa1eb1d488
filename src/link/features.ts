/**
 * The optional parts of the link's protocol, by the names under which hello negotiates them.
 *
 * @module
 */
import type { XpcValue } from "../xpc/mod.ts";

/** Both sides exchange their doorbells in hello. */
export const BELLS = "bells";

/** The server takes over memory of clients whose last server died. */
export const ADOPT = "adopt";

/** The server tells by a note that its regions are others. */
export const REGIONS = "regions";

/** Those of a list that is a peer's which are among `ours`, each once. */
export function commonFeatures(theirs: XpcValue | undefined, ours: readonly string[]): ReadonlySet<string> {
  if (!Array.isArray(theirs)) return new Set();
  return new Set(ours.filter((feature) => theirs.includes(feature)));
}
