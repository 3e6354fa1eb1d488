/**
 * All that is measured, in the order of the table.
 *
 * @module
 */
import type { Bench } from "./row.ts";
import { cadence } from "./rows/cadence.ts";
import { channels } from "./rows/channels.ts";
import { handover } from "./rows/handover.ts";
import { layouts } from "./rows/layout.ts";
import { mutex } from "./rows/mutex.ts";
import { peers } from "./rows/peers.ts";
import { ranges } from "./rows/ranges.ts";
import { regions } from "./rows/regions.ts";
import { futex, spin } from "./rows/round_trips.ts";
import { start } from "./rows/start.ts";
import { streams } from "./rows/streams.ts";
import { views } from "./rows/views.ts";
import { wakes } from "./rows/wakes.ts";

/** The benches. */
export const BENCHES: readonly Bench[] = [
  views,
  layouts,
  spin,
  futex,
  wakes,
  handover,
  streams,
  channels,
  cadence,
  mutex,
  ranges,
  regions,
  start,
  peers,
];
