/**
 * The result of a run as text for people.
 *
 * @module
 */
import { format } from "@std/fmt/bytes";
import { bold, dim, green, red } from "@std/fmt/colors";
import { LATE } from "./cadence.ts";
import type { Mode } from "./options.ts";
import type { Resident } from "./messages.ts";
import type { Recovery, Result } from "./result.ts";
import type { Distribution } from "./statistics.ts";

/** A size, such as "100 MiB". */
export function bytes(count: number): string {
  return format(count, { binary: true });
}

/**
 * The summary of a run.
 *
 * @param result the result
 * @param colored whether the terminal shows colours
 * @returns lines of text
 */
export function summary(result: Result, colored: boolean): string {
  const paint = (color: (text: string) => string, text: string): string => colored ? color(text) : text;
  const rows: [string, string][] = [
    ["mode", modes[result.mode]],
    [result.mode === "stream" ? "streams" : "regions", sizes(result)],
    ["started", `${result.started}, broker ${result.broker}`],
    ["frames", frames(result)],
    ...cadence(result),
    ["throughput", throughput(result)],
    ["wake", `${wake(result.wakeMicroseconds)}, reader asleep, commits paced`],
    ["", `${wake(result.frameWakeMicroseconds)}, reader asleep, between frames`],
    ["connect", `${result.connectMilliseconds} ms, with waiting for the writer`],
    [
      "attach",
      `${result.attachMilliseconds} ms for all ${result.mode === "stream" ? "streams" : "regions"}` +
      (result.mode === "stream" ? "" : `, ${result.viewMilliseconds} ms for the first views`),
    ],
    ["writer's memory", memory(result.residentBytes.writer, "made")],
    ["reader's memory", memory(result.residentBytes.reader, "opened")],
    ...(result.recovery === null ? [] : recovery(result.recovery, result.mode)),
    ["errors", result.errors === 0 ? paint(green, "0") : paint(red, String(result.errors))],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const lines = rows.map(([name, value]) => `${paint(dim, name.padEnd(width))}  ${value}`);
  const title = result.errors === 0
    ? paint(bold, "Two processes shared memory, and nothing was copied.")
    : paint(red, "Something went wrong.");
  return [title, "", ...lines, ...result.failures.map((failure) => paint(red, failure)), ""].join("\n");
}

const modes = {
  stream: "stream: the writer fills a slot that nobody reads",
  mutex: "mutex: both lock a region's one frame (--mode stream: nobody waits)",
} as const;

function sizes({ mode, regions, byteLength, slots, shrunk }: Result): string {
  const each = mode === "stream" ? `, ${slots} slots each: ${bytes(regions * slots * byteLength)}` : "";
  return `${regions} × ${bytes(byteLength)}${each}${shrunk ? ", shorter than usual: memory is short" : ""}`;
}

function frames({ framesWritten, frames, framesDropped, framesTorn }: Result): string {
  return `${framesWritten} written, ${frames} verified, every byte; ` +
    `${framesDropped} dropped in between, ${framesTorn} torn`;
}

function cadence({ mode, cadence }: Result): [string, string][] {
  const { intervalMilliseconds: interval, waitMicroseconds: wait, late } = cadence;
  return [
    [
      "cadence",
      interval.samples === 0
        ? "unknown: the first pass over the memory took all the time; try more --seconds or a smaller --size"
        : `a frame each p50 ${interval.p50} ms, p99 ${interval.p99} ms, after the first pass over the memory`,
    ],
    [
      "writer waits",
      `p50 ${wait.p50} µs, p99 ${wait.p99} µs for ${mode === "stream" ? "a slot" : "the lock"}; ` +
      `${late} of ${wait.samples} frames late by more than ${LATE} ms`,
    ],
  ];
}

function throughput({ gigabytesPerSecond: { written, verified } }: Result): string {
  return `${written.toFixed(2)} GB/s written, ${verified.toFixed(2)} GB/s verified`;
}

function wake({ p50, p99, samples }: Distribution): string {
  return `p50 ${p50} µs, p99 ${p99} µs (${samples} samples)`;
}

function memory({ before, after, end }: Resident, doing: string): string {
  const grown = after - before;
  const change = grown < 0 ? `-${bytes(-grown)}` : `+${bytes(grown)}`;
  return `${bytes(before)} resident, ${change} when all were ${doing}, ${bytes(end)} in the end`;
}

function recovery(recovery: Recovery, mode: Mode): [string, string][] {
  const { killed, held, recoveredMilliseconds } = recovery;
  const stream = mode === "stream";
  const what = !stream ? "the lock" : killed === "writer" ? "a slot, half written," : "a frame";
  const rows: [string, string][] = [[
    "killed",
    held === undefined ? killed : `${killed}, with ${what} of ${held}`,
  ]];
  if (killed === "writer") {
    rows.push(
      [
        "noticed",
        `${recovery.noticedMilliseconds} ms: ` +
        (stream
          ? "the reader's streams are orphans"
          : "the reader's regions are orphans, the lock is abandoned"),
      ],
      ["replaced", `${recovery.replacedMilliseconds} ms: a new writer serves`],
      ["attached", `${recovery.reattachedMilliseconds} ms: the reader has all open again`],
      ["recovered", `${recoveredMilliseconds} ms: a frame is verified, ${recovery.framesAfter} soon after`],
    );
  } else if (killed === "reader") {
    rows.push(
      [
        "noticed",
        `${recovery.noticedMilliseconds} ms: ` +
        (stream
          ? "the slot is free; the writer never stopped"
          : "the writer has the abandoned lock, and writes on"),
      ],
      ["replaced", `${recovery.replacedMilliseconds} ms: a new reader has all open`],
      [
        "recovered",
        `${recoveredMilliseconds} ms: it has verified a frame; ${recovery.framesAfter} were written`,
      ],
    );
  } else {
    rows.push(
      ["direct link", `lived on: ${recovery.framesAfter} frames verified since, no new connection`],
      [
        "found again",
        `${recoveredMilliseconds} ms: by a new process, ${recovery.connectMilliseconds} ms of it connecting`,
      ],
    );
  }
  return rows;
}
