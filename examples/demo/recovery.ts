/**
 * `kill -9` half-way, and what the others make of it.
 *
 * @module
 */
import { startBroker } from "./brokers.ts";
import { Child } from "./child.ts";
import { type FinderEvents, regionName } from "./messages.ts";
import type { Victim } from "./options.ts";
import { delay, type Run, startReader, startWriter, type WriterChild } from "./processes.ts";
import type { Recovery } from "./result.ts";
import { round } from "./statistics.ts";

/** How long frames are counted when all has recovered, and how much longer if there is none, in milliseconds. */
const AFTERWARDS = 300;
const MAX_AFTERWARDS = 5000;

/**
 * Kills a process of a run, and waits until all goes on.
 *
 * @param run the run, whose processes are replaced
 * @param victim who is killed
 * @returns how long that took
 */
export async function recover(run: Run, victim: Victim): Promise<Recovery> {
  if (victim === "writer") return await recoverFromWriter(run);
  if (victim === "reader") return await recoverFromReader(run);
  return await recoverFromBroker(run);
}

/** Kills, and gives a function that tells how long ago that was. */
function kill(run: Run, child: Child<object, never>): (at: number) => number {
  const killed = run.clock();
  child.kill();
  return (at) => round((at - killed) / 1e6, 1);
}

/** Counts the frames of a survivor from its next progress on, until the function that this gives is called. */
function counter(survivor: Child<{ progress: { frames: number } }, never>): () => Promise<number> {
  const before = survivor.next("progress");
  before.catch(() => {}); // told to who asks
  return async () => {
    const { frames } = await before;
    const enough = performance.now() + AFTERWARDS;
    for (;;) {
      const count = (survivor.latest("progress")?.frames ?? 0) - frames;
      if (performance.now() > (count > 0 ? enough : enough + MAX_AFTERWARDS)) return count;
      await delay(10);
    }
  };
}

/** The writer dies over half a frame. The reader notices, and goes on with the next writer. */
async function recoverFromWriter(run: Run): Promise<Recovery> {
  const { writer, reader, failures } = run;
  writer.tell({ do: "hold" });
  const { frames, region } = await writer.next("holding");
  run.framesWritten += frames;
  const since = kill(run, writer);
  const framesAfter = counter(reader);
  const next = run.writer = startWriter(run.setting);
  const gone = await reader.next("gone");
  const ready = await next.next("ready");
  next.tell({ do: "write" });
  const attached = await reader.next("attached");
  const verified = await reader.next("verified");
  const locks = run.options.mode === "mutex" ? 1 : 0;
  if (gone.abandoned !== locks) {
    failures.push(`Cannot explain ${gone.abandoned} abandoned locks: the writer held ${locks}`);
  }
  if (attached.pid !== next.pid) failures.push(`Cannot trust the writer ${attached.pid}: want ${next.pid}`);
  return {
    killed: "writer",
    held: regionName(region),
    abandonedLocks: gone.abandoned,
    noticedMilliseconds: since(gone.at),
    replacedMilliseconds: since(ready.at),
    reattachedMilliseconds: since(attached.at),
    recoveredMilliseconds: since(verified.at),
    framesAfter: await framesAfter(),
  };
}

/** The reader dies with a lock or a lease. The writer goes on, and learns of it; another reader comes. */
async function recoverFromReader(run: Run): Promise<Recovery> {
  const { writer, reader } = run;
  reader.tell({ do: "hold" });
  const { region, frames, dropped, torn, errors } = await reader.next("holding");
  run.framesVerified += frames;
  run.framesDropped += dropped;
  run.framesTorn += torn;
  run.failures.push(...errors);
  const since = kill(run, reader);
  const framesAfter = counter(writer);
  const noticed = run.options.mode === "mutex" ? await abandonedBy(writer, region) : {
    ...await writer.next("left"),
    locks: 0,
  };
  const next = run.reader = startReader(run.setting);
  const attached = await next.next("attached");
  const verified = await next.next("verified");
  return {
    killed: "reader",
    held: regionName(region),
    abandonedLocks: noticed.locks,
    noticedMilliseconds: since(noticed.at),
    replacedMilliseconds: since(attached.at),
    recoveredMilliseconds: since(verified.at),
    framesAfter: await framesAfter(),
  };
}

/** Waits until the writer has the lock of a region whose holder died. */
async function abandonedBy(writer: WriterChild, region: number): Promise<{ at: number; locks: number }> {
  // Others may be among them: of regions for which the reader's turn had just come.
  let abandoned = await writer.next("abandoned");
  let locks = 1;
  for (; abandoned.region !== region; locks++) abandoned = await writer.next("abandoned");
  return { at: abandoned.at, locks };
}

/** The broker dies. The two go on as if nothing was; a third process finds the server by the next broker. */
async function recoverFromBroker(run: Run): Promise<Recovery> {
  const { reader, writer, options, setting, failures } = run;
  const since = kill(run, run.broker!);
  const framesAfter = counter(reader);
  await run.broker!.ended;
  // The agent is for the system to start again; of the others, one becomes the broker.
  run.broker = options.broker === "swift" ? await startBroker("swift", setting.broker.service!) : undefined;
  const finder = Child.startScript<FinderEvents, never>("finder", [JSON.stringify(setting)]);
  const found = await finder.next("found");
  await finder.success();
  if (found.pid !== writer.pid) failures.push(`Cannot trust the server ${found.pid}: want ${writer.pid}`);
  if (found.wrong >= 0) {
    failures.push(`Cannot verify what the third process found: byte ${found.wrong} is wrong`);
  }
  const frames = await framesAfter();
  if (frames <= 0) {
    failures.push("Cannot see the direct link living on: no frame came after the broker's death");
  }
  return {
    killed: "broker",
    recoveredMilliseconds: since(found.at),
    connectMilliseconds: round(found.connectMilliseconds, 1),
    framesAfter: frames,
  };
}
