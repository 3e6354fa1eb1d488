import type { XpcRecord } from "../xpc/mod.ts";
import { type Heirloom, inherit, type Inheritance, type Legacy } from "./estate.ts";
import type { Operation } from "./operations.ts";
import { LinkRefusal } from "./protocol.ts";
import type { ServerLink } from "./server_link.ts";

/** How long clients may take to give what they were asked for, in milliseconds. */
const GIVE_PATIENCE = 2000;

/** How much is copied at least, on a slow machine, in bytes a millisecond. That is our time, and not the clients'. */
const COPY_SPEED = 100_000;

/** For whom a server waits before it takes memory over. */
export interface Expectation {
  /** How many clients are known to come. */
  readonly clients: number;
  /** How long to wait for them, in milliseconds. */
  readonly patience: number;
}

/** A region that the server would rather have from a client than make anew. */
export type Wanted = Pick<Legacy, "name" | "clients" | "byteLength" | "tileBytes">;

/** A client that offered something and waits for the reply to its hello. */
interface Offer {
  readonly legacies: readonly Legacy[];
  readonly answer: (names: string[]) => void;
}

/** A region that a client was asked to give. */
interface Asked {
  readonly link: ServerLink;
  readonly legacy: Legacy;
  readonly done: () => void;
  taken: boolean;
}

/**
 * The time in the life of a server before its regions can be opened: it takes over, from clients that still have it, the
 * memory of the server before it.
 *
 * Clients say in hello what they have, and the reply says what to give. So the reply waits until all clients that are
 * known to come have said hello. All else that clients ask waits until the regions are there. No client can make this
 * last longer than two limits: the one for hellos and the one for gifts. What is not given in time is made anew.
 */
export class Adoption {
  readonly #keep: (heirloom: Heirloom) => void;
  readonly #offers = new Map<ServerLink, Offer>();
  readonly #asked = new Map<string, Asked>();
  readonly #adopted = new Map<string, Inheritance>();
  readonly #ready = Promise.withResolvers<void>();
  #greeted = 0;
  #greet: () => void = () => {};
  #choosing = true;
  #isOver = false;

  /** @param keep puts what was taken over in the place of the region of that name */
  constructor(keep: (heirloom: Heirloom) => void) {
    this.#keep = keep;
  }

  /** Whether the regions can be opened. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Resolves when the regions can be opened, or the server closes. */
  get over(): Promise<void> {
    return this.#ready.promise;
  }

  /** `give` brings the memory of a region that the client was asked for. */
  readonly operations: Readonly<Record<string, Operation>> = {
    give: async (link, { values }): Promise<XpcRecord> => {
      const { name } = values;
      if (typeof name !== "string") {
        throw new LinkRefusal("bad_request", "Cannot take a region: name is not a string");
      }
      const asked = this.#asked.get(name);
      if (asked === undefined || asked.link !== link || asked.taken) {
        throw new LinkRefusal("failed", `Cannot take the region "${name}": this client was not asked for it`);
      }
      asked.taken = true;
      try {
        this.#take(await inherit(asked.legacy, values["memory"]));
      } finally {
        asked.done();
      }
      return {};
    },
  };

  /**
   * A client said hello.
   *
   * @param link the client
   * @param legacies what it offers
   * @returns the names of the regions that it shall give, or `undefined` for a client that is not to wait
   */
  greet(link: ServerLink, legacies: readonly Legacy[] | undefined): Promise<string[]> | undefined {
    if (!this.#choosing) return undefined;
    this.#greeted++;
    const offer = legacies === undefined || legacies.length === 0 ? undefined : this.#offer(link, legacies);
    this.#greet();
    return offer;
  }

  #offer(link: ServerLink, legacies: readonly Legacy[]): Promise<string[]> {
    const { promise, resolve: answer } = Promise.withResolvers<string[]>();
    this.#offers.set(link, { legacies, answer });
    return promise;
  }

  /** A client is gone: it gives nothing any more. */
  forget(link: ServerLink): void {
    this.#offers.get(link)?.answer([]);
    this.#offers.delete(link);
    for (const asked of this.#asked.values()) if (asked.link === link && !asked.taken) asked.done();
  }

  /**
   * Takes over what clients have of the regions, and ends.
   *
   * @param wanted the regions
   * @param expectation for whom to wait
   * @returns the regions that were taken over, and how
   */
  async run(wanted: readonly Wanted[], expectation: Expectation): Promise<ReadonlyMap<string, Inheritance>> {
    await this.#greetings(expectation);
    const gifts = this.#ask(wanted);
    let bytes = 0;
    for (const { legacy: { byteLength } } of this.#asked.values()) bytes += byteLength;
    await within(Promise.all(gifts), GIVE_PATIENCE + bytes / COPY_SPEED);
    this.end();
    return this.#adopted;
  }

  /** Ends: the regions can be opened, or the server closes. Idempotent. */
  end(): void {
    this.#choosing = false;
    this.#isOver = true;
    this.#greet();
    for (const { answer } of this.#offers.values()) answer([]);
    this.#offers.clear();
    for (const { done } of this.#asked.values()) done();
    this.#asked.clear();
    this.#ready.resolve();
  }

  /** Resolves when all clients that are expected said hello, or their time is over. */
  async #greetings({ clients, patience }: Expectation): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#greet = (): void => {
      if (this.#greeted >= clients || this.#isOver) resolve();
    };
    this.#greet();
    await within(promise, patience);
    this.#choosing = false;
  }

  /** Tells the clients what to give: of each region the newest that there is. */
  #ask(wanted: readonly Wanted[]): Promise<void>[] {
    const names = new Map<ServerLink, string[]>();
    const gifts = wanted.flatMap((region) => {
      const best = this.#best(region);
      if (best === undefined) return [];
      const { promise, resolve: done } = Promise.withResolvers<void>();
      this.#asked.set(region.name, { ...best, done, taken: false });
      names.set(best.link, [...names.get(best.link) ?? [], region.name]);
      return [promise];
    });
    for (const [link, { answer }] of this.#offers) answer(names.get(link) ?? []);
    this.#offers.clear();
    return gifts;
  }

  /** Who has the newest content of a region. The generation counts first: an older one is other memory. */
  #best({ name, clients, byteLength, tileBytes }: Wanted): { link: ServerLink; legacy: Legacy } | undefined {
    let best: { link: ServerLink; legacy: Legacy } | undefined;
    for (const [link, { legacies }] of this.#offers) {
      for (const legacy of legacies) {
        if (legacy.name !== name || legacy.clients !== clients) continue;
        if (legacy.byteLength !== byteLength || legacy.tileBytes !== tileBytes) continue;
        if (best === undefined || isNewer(legacy, best.legacy)) best = { link, legacy };
      }
    }
    return best;
  }

  #take(heirloom: Heirloom): void {
    if (this.#isOver) {
      heirloom.mapping.close(); // too late
      throw new LinkRefusal("failed", `Cannot take the region "${heirloom.name}": the server has one by now`);
    }
    this.#keep(heirloom);
    this.#adopted.set(heirloom.name, heirloom.inheritance);
  }
}

function isNewer(one: Legacy, other: Legacy): boolean {
  if (one.generation !== other.generation) return one.generation > other.generation;
  return one.revision > other.revision;
}

/** Waits for a promise, but not for long. */
async function within(promise: Promise<unknown>, milliseconds: number): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, milliseconds);
  try {
    await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
