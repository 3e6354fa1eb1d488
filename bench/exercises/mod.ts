/**
 * What parties can be told to do, by name.
 *
 * @module
 */
import type { Party } from "../party.ts";
import * as handover from "./handover.ts";
import * as mutex from "./mutex.ts";
import * as regions from "./regions.ts";
import * as roundTrips from "./round_trips.ts";
import * as sockets from "./sockets.ts";
import * as views from "./views.ts";
import * as wakes from "./wakes.ts";

/** Something that a party does; what it gives must be fit for JSON. What it takes, its own type says. */
type Exercise = (party: Party, parameters: never) => unknown;

/** All exercises. */
export const EXERCISES: Readonly<Record<string, Exercise>> = {
  ...handover,
  ...mutex,
  ...regions,
  ...roundTrips,
  ...sockets,
  ...views,
  ...wakes,
};
