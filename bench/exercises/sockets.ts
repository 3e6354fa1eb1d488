/**
 * What one would do without shared memory: bytes through a Unix socket; and the same work through a region.
 *
 * @module
 */
import type { Party, Together } from "../party.ts";
import { socketOf } from "./wakes.ts";

/** How much. */
export interface Transfers extends Together {
  /** The bytes of a message. */
  readonly byteLength: number;
  /** How many go there and back. */
  readonly count: number;
}

async function writeAll(socket: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await socket.write(bytes.subarray(sent));
}

async function readAll(socket: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let got = 0; got < bytes.length;) {
    const length = await socket.read(bytes.subarray(got));
    if (length === null) throw new Error("Cannot read: the socket ended");
    got += length;
  }
}

/** Sends messages and awaits each back; gives the nanoseconds of a round trip. */
export async function sendSmall(party: Party, { byteLength, count }: Transfers): Promise<number[]> {
  const socket = socketOf(party);
  const bytes = new Uint8Array(byteLength);
  const times: number[] = [];
  for (let left = count; left > 0; left--) {
    const begin = party.clock();
    await writeAll(socket, bytes);
    await readAll(socket, bytes);
    times.push(party.clock() - begin);
  }
  return times;
}

/** Sends each message back. */
export async function echoSmall(party: Party, { byteLength, count }: Transfers): Promise<void> {
  const socket = socketOf(party);
  const bytes = new Uint8Array(byteLength);
  for (let left = count; left > 0; left--) {
    await readAll(socket, bytes);
    await writeAll(socket, bytes);
  }
}

let source: Uint8Array<ArrayBuffer> | undefined;

/** What is sent; its numbers add up to their count. */
function sourceOf(byteLength: number): Uint8Array<ArrayBuffer> {
  source ??= new Uint8Array(new Float64Array(byteLength / 8).fill(1).buffer);
  return source;
}

let target: Uint8Array<ArrayBuffer> | undefined;

function targetOf(byteLength: number): Uint8Array<ArrayBuffer> {
  target ??= new Uint8Array(byteLength).fill(1);
  return target;
}

function sum(array: Float64Array): number {
  let total = 0;
  for (let index = 0; index < array.length; index++) total += array[index]!;
  return total;
}

/** Sends much through the socket and awaits a byte when it was summed. */
export async function sendLarge(party: Party, { byteLength, count }: Transfers): Promise<number[]> {
  const socket = socketOf(party);
  const bytes = sourceOf(byteLength);
  const answer = new Uint8Array(1);
  const times: number[] = [];
  for (let left = count; left > 0; left--) {
    const begin = party.clock();
    await writeAll(socket, bytes);
    await readAll(socket, answer);
    times.push(party.clock() - begin);
  }
  return times;
}

/** Takes it, sums it, answers. */
export async function takeLarge(party: Party, { byteLength, count }: Transfers): Promise<void> {
  const socket = socketOf(party);
  const bytes = targetOf(byteLength);
  for (let left = count; left > 0; left--) {
    await readAll(socket, bytes);
    if (sum(new Float64Array(bytes.buffer)) !== byteLength / 8) throw new Error("Cannot trust the sum");
    await writeAll(socket, new Uint8Array(1));
  }
}

/** Copies much into the region and awaits the other's answer. */
export async function copyIn(party: Party, { byteLength, count, revisions }: Transfers): Promise<number[]> {
  const frame = party.region("frame");
  const answer = party.region("answer");
  const bytes = sourceOf(byteLength);
  const view = frame.view(Uint8Array);
  const answers = answer.changes({ after: revisions["answer"] });
  const times: number[] = [];
  for (let left = count; left > 0; left--) {
    const begin = party.clock();
    view.set(bytes);
    frame.commit();
    await answers.next();
    times.push(party.clock() - begin);
  }
  await answers.return();
  return times;
}

/** Sums the region at each change and answers. */
export async function sumUp(party: Party, { byteLength, count, revisions }: Transfers): Promise<void> {
  const frame = party.region("frame");
  const answer = party.region("answer");
  const view = frame.view(Float64Array);
  let left = count;
  for await (const _ of frame.changes({ after: revisions["frame"] })) {
    if (sum(view) !== byteLength / 8) throw new Error("Cannot trust the sum");
    answer.commit();
    if (--left === 0) break;
  }
}
