/**
 * What the apps agree on: the table, and a reading in a message.
 *
 * @module
 */
import { layout } from "../../mod.ts";

/** What is known of one sensor. */
const Row = layout({
  name: ["utf8", 32], // empty where there is no sensor
  online: "bool",
  readings: "u32",
  lost: "u32",
  least: "f64",
  most: "f64",
  last: "f64",
});

export const Table = layout({ rows: [Row, 16] });

/** A message of a sensor: its number and what was measured, as a `Float64Array`. */
export type Reading = readonly [number: number, value: number];
