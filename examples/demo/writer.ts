/**
 * The writer: serves the streams, or regions, and fills them with frames, one after the other.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { serve } from "../../mod.ts";
import { Cadence } from "./cadence.ts";
import { obey, setting as readSetting, tell as tellAny } from "./conductor.ts";
import { fill, writableFrame } from "./content.ts";
import { PULSE, type WriterCommand, type WriterEvents } from "./messages.ts";
import { putStamp, sharedClock, stampBytes } from "./stamps.ts";
import { servedBy, targetOf } from "./target.ts";

const tell = tellAny<WriterEvents, keyof WriterEvents>;

/** The time between two reports of progress, in milliseconds. */
const PROGRESS_INTERVAL = 100;

const setting = readSetting();
const { service, broker, regions: count } = setting;
const clock = await sharedClock();
// The first process that needs a broker runs it, in a worker with memory of its own: not what is measured here.
const anchor = await serve(`${service}.anchor`, { regions: {}, broker });
const before = Deno.memoryUsage().rss;

const { regions, streams } = servedBy(setting);
const server = await serve(service, {
  // The kernel refuses the reader's writes to the small region.
  regions: { ...regions, [PULSE]: { byteLength: stampBytes(count + 1), clients: "read" } },
  streams,
  broker,
});
const target = targetOf(server, setting);
const pulse = server.region(PULSE);
const stamps = pulse.view(Float64Array);
const after = Deno.memoryUsage().rss;

let doing: "nothing" | "frames" | "hold" = "nothing";
let idle = Promise.resolve();
let written = 0;
const cadence = new Cadence(setting.mode === "stream" ? count * setting.slots : count);

/** Notes the time, then commits to the small region. */
function commitPulse(): void {
  putStamp(stamps, count, pulse.revision + 1, clock());
  pulse.commit();
}

/** Writes and commits a frame. */
async function writeFrame(index: number, wrongByte?: number): Promise<void> {
  const begun = clock();
  using draft = await target.begin(index);
  const got = clock();
  const { memory, revision, abandoned } = draft;
  if (abandoned) tell("abandoned", { region: index, at: got });
  const id = { writer: Deno.pid, region: index, revision };
  if (doing === "hold") {
    fill(writableFrame(memory), id, 0.5);
    tell("holding", { frames: written, region: index });
    await new Promise<never>(() => {}); // waits to be killed
  }
  fill(writableFrame(memory), id);
  if (wrongByte !== undefined) memory.view(Uint8Array)[wrongByte]! ^= 1;
  const done = clock();
  putStamp(stamps, index, revision, done);
  draft.commit();
  written++;
  if (doing === "frames") cadence.add(begun, got, done);
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
  let readers = target.readers;
  for (let next = 0; doing !== "nothing"; next++) {
    await writeFrame(next % count);
    await turn();
    if (readers !== undefined) {
      const now = target.readers ?? 0;
      if (now < readers) tell("left", { at: clock() });
      readers = now;
    }
    if (performance.now() - told < PROGRESS_INTERVAL) continue;
    told = performance.now();
    tell("progress", { frames: written });
  }
}

/** Commits to the small region, with random pauses that fall in step with nothing else. */
async function pace(commits: number): Promise<void> {
  for (let done = 0; done < commits; done++) {
    await delay(1.5 + Math.random() * 2);
    commitPulse();
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
  commitPulse();
  const residentBytes = { before, after, end: Deno.memoryUsage().rss };
  tell("finished", {
    revisions: target.revisions,
    pulse: pulse.revision,
    frames: written,
    cadence: cadence.result,
    residentBytes,
  });
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
        tell("paused", { frames: written, at: clock(), revisions: target.revisions });
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
