/**
 * All that is measured, in the order of the table.
 *
 * @module
 */
import type { Bench } from "../row.ts";
import { handover } from "./handover.ts";
import { mutex } from "./mutex.ts";
import { peers } from "./peers.ts";
import { regions } from "./regions.ts";
import { futex, spin } from "./round_trips.ts";
import { start } from "./start.ts";
import { views } from "./views.ts";
import { wakes } from "./wakes.ts";

/** The benches. */
export const BENCHES: readonly Bench[] = [
  views,
  spin,
  futex,
  wakes,
  handover,
  mutex,
  regions,
  start,
  peers,
];
