import type { Address } from "../../ffi/types.ts";
import type { RevisionPlace } from "../sync/revision_place.ts";
import { generationAt } from "./layout.ts";
import type { LinkEnd } from "./link_end.ts";

/** Where something that an end shares has its words, by its number, and what wakes this end where it waits for it. */
export function placeOf(end: LinkEnd, name: string, index: number, revision: Address): RevisionPlace {
  const { queue, server, gone, audience, bell } = end;
  const generation = server.word(generationAt(index), 8);
  return { queue, name, index, revision, generation, parked: end.parkedWord(index), gone, audience, bell };
}

/** Tells all which generation is the newest; 0: there is none. */
export function tellGeneration({ server }: LinkEnd, index: number, generation: number): void {
  Atomics.store(server.view(BigUint64Array, generationAt(index), 1), 0, BigInt(generation));
}
