/**
 * What the tests of following a service have in common.
 *
 * @module
 */
import { brokerName, uniqueName } from "./process.ts";

/** How often a server is killed in each test of rounds; `XPC_SHMEM_ROUNDS` says another number. */
export const rounds: number = Number(Deno.env.get("XPC_SHMEM_ROUNDS") ?? 10);

/** The regions of the tests: one that clients may write, one that they only read. */
export const REGIONS = {
  counter: { byteLength: 4096 },
  mask: { byteLength: 8192, clients: "read" },
} as const;

/** What every call of one test has in common. */
export function setting(): { name: string; broker: string; regions: typeof REGIONS } {
  return { name: uniqueName("following"), broker: brokerName(), regions: REGIONS };
}
