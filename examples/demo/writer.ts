/**
 * The writer: serves the regions and fills them with frames, one after the other.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { serve, type WritableRegion } from "../../mod.ts";
import { obey, setting, tell as tellAny } from "./conductor.ts";
import { fill, writableFrame } from "./content.ts";
import { PULSE, regionName, type WriterCommand, type WriterEvents } from "./messages.ts";
import { putStamp, sharedClock, stampBytes } from "./stamps.ts";

const tell = tellAny<WriterEvents, keyof WriterEvents>;

/** The time between two reports of progress, in milliseconds. */
const PROGRESS_INTERVAL = 100;

const { service, broker, regions: count, byteLength } = setting();
const clock = await sharedClock();
// The first process that needs a broker runs it, in a worker with memory of its own: not what is measured here.
const anchor = await serve(`${service}.anchor`, { regions: {}, broker });
const before = Deno.memoryUsage().rss;

// The reader locks the mutex of a frame, so it may write there; the kernel refuses its writes to the small region.
const names = Array.from({ length: count }, (_, index) => regionName(index));
const server = await serve(service, {
  regions: {
    ...Object.fromEntries(names.map((name) => [name, { byteLength }])),
    [PULSE]: { byteLength: stampBytes(count + 1), clients: "read" },
  },
  broker,
});
const regions = names.map((name) => server.region(name));
const pulse = server.region(PULSE);
const stamps = pulse.view(Float64Array);
const after = Deno.memoryUsage().rss;

let doing: "nothing" | "frames" | "hold" = "nothing";
let idle = Promise.resolve();
let written = 0;

/** Notes the time, then commits. */
function commit(region: WritableRegion, index: number): void {
  putStamp(stamps, index, region.revision + 1, clock());
  region.commit();
}

/** Writes and commits a frame under the lock, so that whoever holds the lock sees a frame and its revision. */
async function writeFrame(index: number, wrongByte?: number): Promise<void> {
  const region = regions[index]!;
  using guard = await region.mutex.lock();
  if (guard.abandoned) tell("abandoned", { region: index, at: clock() });
  const id = { writer: Deno.pid, region: index, revision: region.revision + 1 };
  if (doing === "hold") {
    fill(writableFrame(region), id, 0.5);
    tell("holding", { frames: written, region: index });
    await new Promise<never>(() => {}); // waits to be killed
  }
  fill(writableFrame(region), id);
  if (wrongByte !== undefined) region.view(Uint8Array)[wrongByte]! ^= 1;
  commit(region, index);
  written++;
}

/** Gives the event loop a turn, for example to accept clients. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

async function writeFrames(): Promise<void> {
  let told = performance.now();
  for (let next = 0; doing !== "nothing"; next++) {
    await writeFrame(next % count);
    await turn();
    if (performance.now() - told < PROGRESS_INTERVAL) continue;
    told = performance.now();
    tell("progress", { frames: written });
  }
}

/** Commits to the small region, with random pauses that fall in step with nothing else. */
async function pace(commits: number): Promise<void> {
  for (let done = 0; done < commits; done++) {
    await delay(1.5 + Math.random() * 2);
    commit(pulse, count);
  }
  tell("paced", { commits });
}

/** The byte to falsify in the last frame of the last region, for the demo's own test. */
function wrongByte(): number | undefined {
  const text = Deno.env.get("XPC_SHMEM_DEMO_WRONG_BYTE");
  return text === undefined ? undefined : Number(text);
}

async function finish(): Promise<void> {
  for (let index = 0; index < count; index++) {
    await writeFrame(index, index === count - 1 ? wrongByte() : undefined);
  }
  commit(pulse, count);
  const residentBytes = { before, after, end: Deno.memoryUsage().rss };
  const revisions = regions.map(({ revision }) => revision);
  tell("finished", { revisions, pulse: pulse.revision, frames: written, residentBytes });
}

async function close(): Promise<never> {
  await server.close();
  await anchor.close();
  Deno.exit(0);
}

void obey<WriterCommand>((command) => {
  switch (command.do) {
    case "write":
      doing = "frames";
      idle = writeFrames();
      break;
    case "hold":
      doing = "hold";
      break;
    case "pause":
      doing = "nothing";
      void idle.then(() => {
        tell("paused", { frames: written, at: clock(), revisions: regions.map(({ revision }) => revision) });
      });
      break;
    case "pace":
      void pace(command.count);
      break;
    case "finish":
      void finish();
      break;
    case "close":
      void close();
  }
});
tell("ready", { at: clock() });
