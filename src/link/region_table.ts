import { describeDifference } from "../layout/difference.ts";
import { Mapping } from "../memory/mapping.ts";
import type { XpcRecord, XpcValue } from "../xpc/mod.ts";
import type { Heirloom } from "./estate.ts";
import { ChangeQueue } from "./change_queue.ts";
import type { IndexTable } from "./index_table.ts";
import { MUTEX_ABANDONED, mutexAt, serverMutexAt, serverRevisionAt, sharedRevisionAt } from "./layout.ts";
import type { LinkEnd } from "./link_end.ts";
import { LinkedRegion, type RegionFacts } from "./linked_region.ts";
import { NamedTable } from "./named_table.ts";
import type { HostPart, Operation } from "./operations.ts";
import { LinkRefusal } from "./protocol.ts";
import { bytesBehind } from "./tile_bytes.ts";
import { tellGeneration } from "./word_place.ts";
import { DEFAULT_TILE_BYTES } from "../sync/tiles.ts";
import { checkRegionName, checkRegionOptions, makeMapping, type RegionOptions } from "./served_region.ts";

/** The regions of a server, by name. Changes happen one after the other, in the order in which they were asked for. */
export class RegionTable implements HostPart {
  readonly #end: LinkEnd;
  readonly #indexes: IndexTable;
  readonly #regions = new NamedTable<LinkedRegion>("region");
  /** Regions that this process has mapped once more. */
  readonly #guests = new Set<LinkedRegion>();
  readonly #changes = new ChangeQueue();
  #closed = false;

  /**
   * @param end the server's end, where the words are
   * @param indexes the numbers of all that the server shares
   */
  constructor(end: LinkEnd, indexes: IndexTable) {
    this.#end = end;
    this.#indexes = indexes;
  }

  /** `open` gives a region's memory to a client. */
  readonly operations: Readonly<Record<string, Operation>> = {
    open: (_, { values: { name, layout } }) => {
      const region = this.#regions.asked(name);
      checkLayout(region, layout);
      return {
        index: BigInt(region.index),
        generation: BigInt(region.generation),
        byteLength: BigInt(region.mapping.byteLength),
        tileBytes: BigInt(region.tileBytes),
        ...(region.layout === undefined ? {} : { layout: region.layout }),
        memory: region.mapping.share(),
      };
    },
  };

  /** Lists the regions. */
  describe(): XpcRecord {
    return {
      regions: [...this.#regions.values()].map((region) => ({
        name: region.name,
        clients: region.clients,
        byteLength: BigInt(region.mapping.byteLength),
        generation: BigInt(region.generation),
        revision: BigInt(region.revisions.current),
      })),
    };
  }

  /** A region shares nothing with one client alone. */
  forget(): void {}

  /** The regions, in the order of their numbers. */
  get regions(): ReadonlyMap<string, LinkedRegion> {
    return this.#regions;
  }

  /**
   * Adds a region.
   *
   * @throws {TypeError} if there is a region of that name, an option is not valid, or the server is closed
   * @throws {RangeError} if the length is not valid, or the service shares 256 things already
   */
  add(name: string, options: RegionOptions): Promise<LinkedRegion> {
    checkRegionName(name);
    checkRegionOptions(name, options);
    return this.#changes.add(async () => {
      this.#checkOpen("add", name);
      if (this.#regions.has(name)) {
        throw new TypeError(
          `Cannot add the region "${name}": there is one of that name. Use replace() to change it`,
        );
      }
      return await this.#indexes.use(`the region "${name}"`, (index, generation) => {
        return this.#put(name, index, generation, options);
      });
    });
  }

  /**
   * Puts a new generation in the place of a region, and closes the old one.
   *
   * @throws {Deno.errors.NotFound} if there is no region of that name
   * @throws {TypeError} if an option is not valid, or the server is closed
   * @throws {RangeError} if the length is not valid
   */
  replace(name: string, options: RegionOptions): Promise<LinkedRegion> {
    checkRegionName(name);
    checkRegionOptions(name, options);
    return this.#changes.add(async () => {
      this.#checkOpen("replace", name);
      const before = this.get(name);
      const clients = options.clients ?? before.clients;
      if (before.clients !== clients) {
        throw new TypeError(
          `Cannot replace the region "${name}" with \`clients\` "${clients}": it is "${before.clients}", and access ` +
            `cannot change`,
        );
      }
      const { tileBytes = before.tileBytes } = options;
      const as = { ...options, clients, tileBytes };
      const region = await this.#put(name, before.index, before.generation + 1, as);
      region.commit(); // wakes those who wait: they look at the generation, too
      await before.close();
      return region;
    });
  }

  /**
   * Removes a region: nobody can open it any more, and those who wait for it learn that.
   *
   * @returns the region, which is closed
   * @throws {Deno.errors.NotFound} if there is no region of that name
   * @throws {TypeError} if the server is closed
   */
  remove(name: string): Promise<LinkedRegion> {
    checkRegionName(name);
    return this.#changes.add(async () => {
      this.#checkOpen("remove", name);
      const region = this.get(name);
      this.#regions.delete(name);
      tellGeneration(this.#end, region.index, 0);
      region.commit(); // wakes those who wait: they look at the generation, too
      await region.close();
      this.#indexes.release(region.index, region.generation);
      return region;
    });
  }

  /**
   * A region, in its newest generation.
   *
   * @throws {Deno.errors.NotFound} if there is no region of that name; the message lists the names
   */
  get(name: string): LinkedRegion {
    return this.#regions.find(name);
  }

  /**
   * Puts memory of a server that is gone in the place of a region that nobody has opened yet, or makes it one. Takes the
   * memory over. The revision goes on from where it was.
   *
   * @throws {RangeError} if the service shares 256 things already
   */
  inherit({ name, clients, generation, revision, abandoned, tileBytes, mapping }: Heirloom): LinkedRegion {
    const before = this.#regions.get(name);
    let index: number;
    try {
      this.#checkOpen("take over", name);
      index = before?.index ?? this.#indexes.take(`the region "${name}"`);
    } catch (error) {
      mapping.close();
      throw error;
    }
    const { locks, server } = this.#end;
    const isShared = clients === "write";
    const revisions = isShared
      ? locks.view(BigUint64Array, sharedRevisionAt(index), 1)
      : server.view(BigUint64Array, serverRevisionAt(index), 1);
    Atomics.store(revisions, 0, BigInt(revision));
    const mutex = isShared
      ? locks.view(Uint32Array, mutexAt(index), 1)
      : server.view(Uint32Array, serverMutexAt(index), 1);
    if (abandoned) Atomics.store(mutex, 0, MUTEX_ABANDONED);
    const layout = before?.layout;
    const facts = { name, index, generation: generation + 1, clients, tileBytes, layout };
    const region = this.#place(facts, mapping);
    void before?.close();
    return region;
  }

  /**
   * Maps a region once more, for a user who closes it without closing the server's.
   *
   * @throws {Deno.errors.NotFound} if there is no region of that name
   * @throws {TypeError} if the server is closed
   */
  open(name: string, prefault: boolean): LinkedRegion {
    const region = this.get(name);
    this.#checkOpen("open", name);
    using memory = region.mapping.share();
    const { mapping: { byteLength }, tileBytes } = region;
    const behind = bytesBehind(byteLength, tileBytes);
    const mapping = Mapping.open(memory, byteLength, { name, prefault, behind });
    const guest = new LinkedRegion(this.#end, region, mapping, (closed) => this.#guests.delete(closed));
    this.#guests.add(guest);
    return guest;
  }

  /** Closes all regions. A change under way fails; later ones do, too. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#changes.settled();
    await Promise.all([...this.#regions.values(), ...this.#guests].map((region) => region.close()));
  }

  async #put(name: string, index: number, generation: number, options: RegionOptions): Promise<LinkedRegion> {
    const { clients = "write", tileBytes = DEFAULT_TILE_BYTES } = options;
    const mapping = await makeMapping(name, options);
    if (this.#closed) {
      mapping.close();
      this.#checkOpen("make", name);
    }
    const layout = options.layout?.description ?? this.#regions.get(name)?.layout;
    return this.#place({ name, index, generation, clients, tileBytes, layout }, mapping);
  }

  #place(facts: RegionFacts, mapping: Mapping): LinkedRegion {
    const { name, index, generation } = facts;
    const region = new LinkedRegion(this.#end, facts, mapping, () => {});
    this.#regions.set(name, region);
    // The generation comes before the revision: a commit wakes those who then look at the generation.
    tellGeneration(this.#end, index, generation);
    return region;
  }

  #checkOpen(doing: string, name: string): void {
    if (this.#closed) throw new TypeError(`Cannot ${doing} the region "${name}": the server is closed`);
  }
}

/** Refuses a client whose layout of a region is another than ours. */
function checkLayout(region: LinkedRegion, theirs: XpcValue | undefined): void {
  if (theirs === undefined || theirs === null || region.layout === undefined) return;
  const sides = { ours: "the server", theirs: "the client" };
  const difference = describeDifference(region.layout, theirs, sides);
  if (difference === undefined) return;
  throw new LinkRefusal(
    "incompatible",
    `Cannot open "${region.name}": the layouts of server and client differ, first at ${difference}`,
  );
}
