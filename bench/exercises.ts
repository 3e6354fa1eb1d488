/**
 * What parties can be told to do, by name.
 *
 * @module
 */
import type { Party } from "./party.ts";
import * as cadence from "./exercises/cadence.ts";
import * as channels from "./exercises/channels.ts";
import * as handover from "./exercises/handover.ts";
import * as mutex from "./exercises/mutex.ts";
import * as ranges from "./exercises/ranges.ts";
import * as regions from "./exercises/regions.ts";
import * as requests from "./exercises/requests.ts";
import * as roundTrips from "./exercises/round_trips.ts";
import * as sockets from "./exercises/sockets.ts";
import * as streams from "./exercises/streams.ts";
import * as views from "./exercises/views.ts";
import * as wakes from "./exercises/wakes.ts";

/** Something that a party does; what it gives must be fit for JSON. What it takes, its own type says. */
type Exercise = (party: Party, parameters: never) => unknown;

/** All exercises. */
export const EXERCISES: Readonly<Record<string, Exercise>> = {
  ...cadence,
  ...channels,
  ...handover,
  ...mutex,
  ...ranges,
  ...regions,
  ...requests,
  ...roundTrips,
  ...sockets,
  ...streams,
  ...views,
  ...wakes,
};
