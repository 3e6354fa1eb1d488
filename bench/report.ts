/**
 * The table, for people.
 *
 * @module
 */
import { bold, dim, green, red } from "@std/fmt/colors";
import type { Bound, Row } from "./row.ts";
import type { Spread } from "./statistics.ts";

type Paint = (text: string) => string;

/** A cell: what stands there, and how. */
interface Cell {
  readonly text: string;
  readonly paint?: Paint;
  readonly right?: boolean;
}

const UNITS = [["s", 1e9], ["ms", 1e6], ["µs", 1e3], ["ns", 1]] as const;

/** A time with its unit. */
function time(nanoseconds: number): string {
  const [unit, size] = UNITS.find(([, size]) => Math.abs(nanoseconds) >= size) ?? ["ns", 1];
  return `${digits(nanoseconds / size)} ${unit}`;
}

function digits(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size < 10 ? 2 : size < 100 ? 1 : 0);
}

function range({ min, max }: Spread, write: (value: number) => string): string {
  const [low, high] = [write(min), write(max)];
  const [, unit] = high.split(" ");
  // The unit once, where it is the same.
  return `${unit !== undefined && low.endsWith(` ${unit}`) ? low.split(" ")[0] : low}–${high}`;
}

function boundOf({ kind, limit }: Bound): string {
  if (kind === "time below") return `< ${time(limit)}`;
  return `${kind === "ratio at most" ? "≤" : "≥"} ${limit} ×`;
}

function cells(row: Row): Cell[] {
  const { name, ours, baseline, ratio, bound, holds } = row;
  return [
    { text: name },
    { text: time(ours.median), right: true },
    { text: range(ours, time), paint: dim },
    { text: baseline === null ? "" : time(baseline.time.median), right: true },
    { text: baseline?.name ?? "", paint: dim },
    { text: ratio === null ? "" : `${ratio.median.toFixed(2)} ×`, right: true },
    { text: ratio === null ? "" : range(ratio, (value) => value.toFixed(2)), paint: dim },
    { text: bound === null ? "" : boundOf(bound), right: true },
    holds === null ? { text: "" } : holds ? { text: "ok", paint: green } : { text: "miss", paint: red },
  ];
}

const HEADINGS = ["", "ours", "min–max", "other", "", "ratio", "min–max", "to hold", ""];

/**
 * Makes the table.
 *
 * @param rows its lines
 * @param colored whether the terminal shows colours
 * @returns lines of text
 */
export function table(rows: readonly Row[], colored: boolean): string {
  const lines = rows.map(cells);
  const widths = HEADINGS.map((heading, column) =>
    Math.max(heading.length, ...lines.map((line) => line[column]!.text.length))
  );
  const write = (line: readonly Cell[]): string =>
    line.map(({ text, paint, right }, column) => {
      const padded = right === true ? text.padStart(widths[column]!) : text.padEnd(widths[column]!);
      return colored && paint !== undefined ? paint(padded) : padded;
    }).join("  ").trimEnd();
  const head = HEADINGS.map((text, column) => ({
    text,
    paint: bold,
    right: lines[0]?.[column]?.right === true,
  }));
  const notes = rows.flatMap(({ name, note }) => note === null ? [] : [`${name}: ${note}`]);
  return [
    write(head),
    ...lines.map(write),
    "",
    ...notes.map((note) => colored ? dim(note) : note),
    "",
  ].join("\n");
}
