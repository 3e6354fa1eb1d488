/**
 * Writes a region tile by tile, or copies what changed of it. What is in the region follows from its revision alone, so
 * that whoever reads it knows what must be there: commit `r` fills a few tiles with the number `r`, and which ones only
 * `r` says.
 *
 * @module
 */
import {
  type Client,
  connect,
  type Region,
  type RegionOptions,
  serve,
  type Server,
  WritableRegion,
} from "../../mod.ts";
import { answer, type Calls } from "./calls.ts";

let owner: Server | Client | undefined;
let region: Region | undefined;

/** A number that looks random. */
function scramble(seed: number): number {
  const mixed = Math.imul(seed ^ (seed >>> 15), 0x2c1b_3c6d);
  return (mixed ^ (mixed >>> 12)) >>> 0;
}

/** The tiles that a commit fills: from `first` to before `end`. */
function filledBy(revision: number, tiles: number): { first: number; end: number } {
  const first = scramble(revision) % tiles;
  return { first, end: Math.min(tiles, first + 1 + scramble(revision + 1) % 3) };
}

/** Every so often a commit says nothing of its ranges. */
function isPlain(revision: number): boolean {
  return revision % 97 === 0;
}

/** What is in the region at a revision: the stamp of each tile. */
class Model {
  readonly stamps: Uint32Array;
  #revision = 0;

  constructor(tiles: number) {
    this.stamps = new Uint32Array(tiles);
  }

  advance(revision: number): void {
    while (this.#revision < revision) {
      this.#revision++;
      const { first, end } = filledBy(this.#revision, this.stamps.length);
      this.stamps.fill(this.#revision, first, end);
    }
  }
}

/** Copies until a revision is there, and compares each copy with the model. */
class Reader {
  readonly #region: Region;
  readonly #words: number;
  readonly #copy: Uint32Array<ArrayBuffer>;
  readonly #model: Model;
  #revision = 0;
  #changed = 0;

  constructor(region: Region) {
    this.#region = region;
    this.#words = region.tileBytes / 4;
    this.#copy = new Uint32Array(region.byteLength / 4);
    this.#model = new Model(region.byteLength / region.tileBytes);
  }

  async until(last: number): Promise<Record<string, number>> {
    const counts = { copies: 0, consistent: 0, parts: 0, locked: 0 };
    while (this.#revision < last) {
      const { revision, bytesCopied, consistent, locked } = this.#region.copyChanges(
        this.#copy,
        this.#revision,
        {
          timeout: 30_000,
        },
      );
      if (revision === this.#revision) {
        await new Promise((resolve) => setTimeout(resolve, 0));
        continue;
      }
      this.#revision = revision;
      counts.copies++;
      if (consistent) counts.consistent++;
      if (locked) counts.locked++;
      if (bytesCopied < this.#region.byteLength) counts.parts++;
      this.#compare(consistent);
    }
    return counts;
  }

  #compare(isConsistent: boolean): void {
    this.#model.advance(this.#revision);
    for (const [tile, stamp] of this.#model.stamps.entries()) {
      const words = this.#copy.subarray(tile * this.#words, (tile + 1) * this.#words);
      const first = words[0]!;
      const name = `tile ${tile} of the copy at revision ${this.#revision}`;
      if (words.some((word) => word !== first)) throw new Error(`${name} is torn`);
      if (first < stamp) throw new Error(`${name} has ${first}: revision ${stamp} was missed`);
      if (isConsistent && first !== stamp) throw new Error(`${name} has ${first}, not ${stamp}`);
    }
  }
}

/** Commits revisions up to `last`, with turns of the event loop in between. */
async function write(region: WritableRegion, last: number): Promise<void> {
  const words = region.view(Uint32Array);
  const tiles = region.byteLength / region.tileBytes;
  const size = region.tileBytes / 4;
  for (let round = 1; region.revision < last; round++) {
    await region.mutex.with(() => {
      const revision = region.revision + 1;
      const { first, end } = filledBy(revision, tiles);
      for (let at = first * size; at < end * size; at++) words[at] = revision;
      if (isPlain(revision)) return region.commit();
      const byteOffset = first * region.tileBytes + 3;
      return region.commit([{ byteOffset, byteLength: (end - first) * region.tileBytes - 3 }]);
    });
    if (round % 64 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

const calls: Calls = {
  async serve(p) {
    const options = p["options"] as RegionOptions;
    const broker = { service: String(p["broker"]) };
    const server = await serve(String(p["name"]), { regions: { frame: options }, broker });
    owner = server;
    region = server.region("frame");
  },
  async connect(p) {
    const client = await connect(String(p["name"]), { broker: { service: String(p["broker"]) } });
    owner = client;
    region = await (p["write"] === true ? client.open("frame", { write: true }) : client.open("frame"));
  },
  read: ({ last }) => new Reader(region!).until(Number(last)),
  async write({ last }) {
    if (!(region instanceof WritableRegion)) throw new TypeError("Cannot write: the region is only read");
    await write(region, Number(last));
  },
  revision: () => region!.revision,
};

await answer(calls);
await owner?.close();
