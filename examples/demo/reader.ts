/**
 * The reader: takes frames from all streams, or regions, at once and checks every byte of them. When the writer dies, it goes on
 * with the next.
 *
 * @module
 */
import { connect, PeerGoneError, StreamReader } from "../../mod.ts";
import { attach, type Attachment } from "./attachment.ts";
import { obey, setting as readSetting, tell as tellAny } from "./conductor.ts";
import {
  type Final,
  PULSE,
  type ReaderCommand,
  type ReaderEvents,
  regionName,
  type Verified,
} from "./messages.ts";
import { missing } from "./seen.ts";
import { sharedClock } from "./stamps.ts";
import { StreamWatch } from "./stream_watch.ts";
import { Wakes } from "./wakes.ts";
import { PulseWatch, type Tally, Watch, type Watcher } from "./watch.ts";

const tell = tellAny<ReaderEvents, keyof ReaderEvents>;

/** The time between two reports of progress, in milliseconds. */
const PROGRESS_INTERVAL = 100;

/** How long the reader may make no progress while frames are missing, in milliseconds. */
const GRACE = 3000;

const setting = readSetting();
const clock = await sharedClock();
const wakes = new Wakes(clock);
const tally: Tally = {
  wakes,
  errors: [],
  frames: 0,
  dropped: 0,
  torn: 0,
  abandoned: 0,
  verified: undefined,
  holding: undefined,
};
const finished = new AbortController();
let attachments = 0;
let residentBytes: Attachment["residentBytes"] | undefined;
let current: { readonly frames: readonly Watcher[]; readonly pulse: PulseWatch } | undefined;

function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Waits until all these revisions are seen and verified. Without progress it notes what is missing. */
async function catchUp(revisions: readonly number[], pulse: number | undefined): Promise<void> {
  let frames = tally.frames;
  let since = performance.now();
  for (;;) {
    const wrong = revisions.map((final, index) => {
      const watch = current?.frames[index];
      return watch === undefined
        ? "Cannot catch up: nothing is open"
        : missing(regionName(index), watch.place, final);
    });
    if (pulse !== undefined && current !== undefined) wrong.push(missing(PULSE, current.pulse.place, pulse));
    const errors = wrong.filter((error) => error !== undefined);
    if (errors.length === 0) return;
    if (frames !== tally.frames) {
      frames = tally.frames;
      since = performance.now();
    } else if (performance.now() - since > GRACE) {
      tally.errors.push(...errors);
      return;
    }
    await delay(10);
  }
}

/** What has been verified, for events. */
function verified(): Verified {
  const { frames, dropped, torn, errors } = tally;
  return { frames, dropped, torn, errors };
}

/** Watches what one writer serves until the writer is gone or the run is finished. */
async function watch(attachment: Attachment): Promise<void> {
  const frames = attachment.sources.map((source, index) =>
    source instanceof StreamReader
      ? new StreamWatch(attachment, index, source, tally)
      : new Watch(attachment, index, source, tally)
  );
  const pulse = new PulseWatch(attachment, tally);
  current = { frames, pulse };
  const outcomes = await Promise.allSettled([...frames, pulse].map((watch) => watch.run(finished.signal)));
  for (const outcome of outcomes) {
    if (outcome.status === "fulfilled") throw new Error("Cannot go on: a region or a stream was closed");
    if (!finished.signal.aborted && !(outcome.reason instanceof PeerGoneError)) throw outcome.reason;
  }
}

/** The writer died: counts the locks that it held, and closes what it served. */
async function leave({ sources, pulse }: Attachment, at: number): Promise<void> {
  for (const { name, orphaned } of [...sources, pulse]) {
    if (!orphaned) tally.errors.push(`Cannot trust "${name}": its server is gone, but it is not orphaned`);
  }
  for (const source of sources) {
    if (source instanceof StreamReader) continue;
    using guard = source.mutex.tryLock();
    if (guard?.abandoned === true) tally.abandoned++;
  }
  tell("gone", { at, abandoned: tally.abandoned });
  await Promise.all([...sources, pulse].map((source) => source.close()));
}

async function finish({ revisions, pulse }: Final): Promise<void> {
  await catchUp(revisions, pulse);
  tell("finished", {
    ...verified(),
    attachments,
    ...wakes.distributions,
    residentBytes: { ...residentBytes!, end: Deno.memoryUsage().rss },
  });
  finished.abort(new Error("Cannot go on: all is verified"));
}

void obey<ReaderCommand>((command) => {
  switch (command.do) {
    case "hold":
      tally.holding = (region) => {
        tally.holding = undefined;
        tell("holding", { region, ...verified() });
        return new Promise<never>(() => {}); // waits to be killed
      };
      break;
    case "catch up":
      void catchUp(command.revisions, undefined).then(() => {
        tell("caught up", { at: clock(), ...verified() });
      });
      break;
    case "finish":
      void finish(command);
  }
});

const start = performance.now();
const client = await connect(setting.service, { broker: setting.broker });
const connectMilliseconds = performance.now() - start;
setInterval(() => tell("progress", { frames: tally.frames }), PROGRESS_INTERVAL);

while (!finished.signal.aborted) {
  const attachment = await attach(client, setting, finished.signal);
  attachments++;
  wakes.touch(); // earlier commits could not wake this process
  residentBytes ??= attachment.residentBytes;
  const { attachMilliseconds, viewMilliseconds, writer } = attachment;
  tell("attached", { at: clock(), connectMilliseconds, attachMilliseconds, viewMilliseconds, pid: writer });
  let goneAt = 0;
  void attachment.pulse.closed.then(() => goneAt = clock());
  tally.verified = () => {
    tally.verified = undefined;
    tell("verified", { at: clock() });
  };
  await watch(attachment);
  if (!finished.signal.aborted) await leave(attachment, goneAt);
}
await client.close();
Deno.exit(0);
