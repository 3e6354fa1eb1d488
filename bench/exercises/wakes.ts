/**
 * Waking an event loop: with changes of a region, and with bytes on a Unix socket.
 *
 * @module
 */
import { delay } from "@std/async/delay";
import type { Party, Together } from "../party.ts";
import { readerOf } from "../readers.ts";

/** How to pace. */
export interface Paced extends Together {
  /** How many events. */
  readonly count: number;
  /** The shortest time between two, in microseconds; the longest is twice that. */
  readonly gap: number;
}

const cell = new Int32Array(new SharedArrayBuffer(4));

/** Sleeps, this thread and all. */
function sleep(milliseconds: number): void {
  Atomics.wait(cell, 0, 0, milliseconds);
}

/** Commits now and then, noting when in the region. */
export function paceCommits(party: Party, { count, gap }: Paced): void {
  const region = party.region("ball");
  const stamp = region.view(Float64Array, 0, 1);
  sleep(20); // until the other waits
  for (let left = count; left > 0; left--) {
    sleep(gap * (1 + Math.random()) / 1000);
    stamp[0] = party.clock();
    region.commit();
  }
}

/** Gives the nanoseconds that each commit took to come out of `changes()`. */
export async function takeCommits(party: Party, { count, revisions }: Paced): Promise<number[]> {
  const region = party.region("ball");
  const stamp = region.view(Float64Array, 0, 1);
  const times: number[] = [];
  const after = revisions["ball"]!;
  for await (const { revision } of region.changes({ after })) {
    times.push(party.clock() - (stamp[0] ?? 0));
    if (revision >= after + count) break;
  }
  return times;
}

/** How to pace frames. */
export interface PacedFrames extends Paced {
  /** Of which stream. */
  readonly stream: string;
}

/** Publishes a frame now and then. */
export function paceFrames({ server, clock }: Party, { stream, count, gap }: PacedFrames): void {
  const writer = server!.stream(stream);
  sleep(20);
  for (let left = count; left > 0; left--) {
    sleep(gap * (1 + Math.random()) / 1000);
    writer.loan().publish({ timestamp: clock() });
  }
}

/** Gives the nanoseconds that each took to come out of the loop over the frames. */
export async function takeFrames({ clock }: Party, { stream, count }: PacedFrames): Promise<number[]> {
  const times: number[] = [];
  let left = count;
  for await (using frame of readerOf(stream)) {
    times.push(clock() - frame.timestamp);
    if ((left -= 1 + frame.dropped) <= 0) break;
  }
  return times;
}

let accepting: Promise<Deno.Conn> | undefined;

/** Listens on a Unix socket. */
export function listen(_: Party, { path }: { path: string }): void {
  accepting = Deno.listen({ transport: "unix", path }).accept();
}

/** Takes who came. */
export async function accepted(party: Party): Promise<void> {
  party.kept.set("socket", await accepting!);
}

/** Connects to that socket. */
export async function call(party: Party, { path }: { path: string }): Promise<void> {
  party.kept.set("socket", await Deno.connect({ transport: "unix", path }));
}

/** The socket of a party. */
export function socketOf(party: Party): Deno.Conn {
  return party.kept.get("socket") as Deno.Conn;
}

/** Writes the time to the socket now and then. */
export async function paceBytes(party: Party, { count, gap }: Paced): Promise<void> {
  const socket = socketOf(party);
  const stamp = new Float64Array(1);
  const bytes = new Uint8Array(stamp.buffer);
  sleep(20);
  for (let left = count; left > 0; left--) {
    sleep(gap * (1 + Math.random()) / 1000);
    stamp[0] = party.clock();
    await socket.write(bytes);
  }
}

/** Gives the nanoseconds that each took to be read. */
export async function takeBytes(party: Party, { count }: Paced): Promise<number[]> {
  const socket = socketOf(party);
  const stamps = new Float64Array(64); // may hold several that came together
  const bytes = new Uint8Array(stamps.buffer);
  const times: number[] = [];
  for (let got = 0; got < count * 8;) {
    const length = await socket.read(bytes);
    if (length === null) throw new Error("Cannot read: the socket ended");
    times.push(party.clock() - (stamps[length / 8 - 1] ?? 0));
    got += length;
  }
  return times;
}

/** How long to play. */
export interface Rally extends Together {
  /** The wakes of each side in a batch. */
  readonly laps: number;
  /** How many batches are measured; one more warms up. */
  readonly batches: number;
}

/** Commits to one region and awaits a change of the other; gives the nanoseconds of a wake, for each batch. */
export async function pingChanges(party: Party, { laps, batches, revisions }: Rally): Promise<number[]> {
  const out = party.region("ball");
  const back = party.region("answer");
  const times: number[] = [];
  const changes = back.changes({ after: revisions["answer"] });
  await delay(20); // until the other waits
  for (let batch = -1; batch < batches; batch++) {
    const begin = party.clock();
    for (let lap = 0; lap < laps; lap++) {
      out.commit();
      await changes.next();
    }
    if (batch >= 0) times.push((party.clock() - begin) / laps / 2);
  }
  await changes.return();
  return times;
}

/** Answers each change of one region with a commit to the other. */
export async function pongChanges(party: Party, { laps, batches, revisions }: Rally): Promise<void> {
  const out = party.region("answer");
  const region = party.region("ball");
  let left = laps * (batches + 1);
  for await (const _ of region.changes({ after: revisions["ball"] })) {
    out.commit();
    if (--left === 0) break;
  }
}
