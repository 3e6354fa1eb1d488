import { Mapping } from "../memory/mapping.ts";
import type { XpcRecord } from "../xpc/mod.ts";
import { type ChannelOptions, checkChannelOptions } from "./channel_options.ts";
import type { IndexTable } from "./index_table.ts";
import { channelBytes, LinkedChannel } from "./linked_channel.ts";
import type { LinkEnd } from "./link_end.ts";
import { NamedTable } from "./named_table.ts";
import type { HostPart, Operation } from "./operations.ts";
import { LinkRefusal } from "./protocol.ts";
import { checkRegionName } from "./served_region.ts";
import type { ServerLink } from "./server_link.ts";

/** A channel of a server: what each client gets that opens it. */
export interface ServedChannel {
  /** Its name. */
  readonly name: string;
  /** The bytes of each ring. */
  readonly byteLength: number;
  /** The ends of those who have opened it. */
  readonly open: ReadonlySet<LinkedChannel>;
  /** Whether no more will be opened. */
  readonly isOver: boolean;
  /** Called with each end that is opened from now on; with `undefined` when no more will be. */
  readonly listeners: Set<(channel: LinkedChannel | undefined) => void>;
}

/** What the table keeps of a channel. */
interface Entry extends ServedChannel {
  readonly index: number;
  readonly open: Set<LinkedChannel>;
  /** What each client has opened and not closed, even where this side has closed it. */
  readonly ends: Map<ServerLink, LinkedChannel>;
  isOver: boolean;
}

/** The channels of a server, by name. */
export class ChannelTable implements HostPart {
  readonly #end: LinkEnd;
  readonly #indexes: IndexTable;
  readonly #channels = new NamedTable<Entry>("channel");
  /** The ends whose memory is not free yet. */
  readonly #used = new Set<LinkedChannel>();
  #closed = false;

  /**
   * @param end the server's end, where the words are
   * @param indexes the numbers of all that the server shares
   */
  constructor(end: LinkEnd, indexes: IndexTable) {
    this.#end = end;
    this.#indexes = indexes;
  }

  /** `channel` gives a client its rings, `channel_close` takes them back. */
  readonly operations: Readonly<Record<string, Operation>> = {
    channel: async (link, { values: { name } }) => {
      const entry = this.#channels.asked(name);
      checkNotOpened(entry, link);
      using undo = new DisposableStack();
      const mapping = undo.use(await Mapping.create(channelBytes(entry.byteLength), { name: entry.name }));
      checkNotOpened(entry, link); // by a request that came meanwhile
      if (this.#closed || link.ended) {
        throw new LinkRefusal("failed", `Cannot open the channel "${entry.name}": it was closed meanwhile`);
      }
      const memory = undo.use(mapping.share());
      this.#add(entry, link, mapping);
      undo.move(); // the reply owns the one, the channel the other
      return { index: BigInt(entry.index), byteLength: BigInt(entry.byteLength), memory };
    },

    channel_close: (link, { values: { name } }) => {
      end(this.#channels.asked(name), link);
      return {};
    },
  };

  /** Lists the channels. */
  describe(): XpcRecord {
    return {
      channels: [...this.#channels.values()].map(({ name, byteLength, open }) => ({
        name,
        byteLength: BigInt(byteLength),
        clients: BigInt(open.size),
      })),
    };
  }

  /** A client is gone. */
  forget(link: ServerLink): void {
    for (const entry of this.#channels.values()) end(entry, link);
  }

  /** The names. */
  get names(): string[] {
    return this.#channels.names;
  }

  /**
   * A channel.
   *
   * @throws {Deno.errors.NotFound} if there is none of that name; the message lists the names
   */
  get(name: string): ServedChannel {
    return this.#channels.find(name);
  }

  /**
   * Adds a channel.
   *
   * @throws {TypeError} if there is one of that name, an option is not valid, or the server is closed
   * @throws {RangeError} if the length is not valid, or the service shares 256 things already
   */
  add(name: string, options: ChannelOptions): ServedChannel {
    checkRegionName(name);
    checkChannelOptions(name, options);
    if (this.#closed) throw new TypeError(`Cannot add the channel "${name}": the server is closed`);
    if (this.#channels.has(name)) {
      throw new TypeError(`Cannot add the channel "${name}": there is one of that name`);
    }
    const index = this.#indexes.take(`the channel "${name}"`);
    const { byteLength } = options;
    const entry: Entry = {
      name,
      byteLength,
      index,
      open: new Set(),
      ends: new Map(),
      isOver: false,
      listeners: new Set(),
    };
    this.#channels.set(name, entry);
    return entry;
  }

  /** Closes all channels. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const entry of this.#channels.values()) {
      entry.isOver = true;
      for (const listener of entry.listeners) listener(undefined);
    }
    await Promise.all([...this.#used].map((channel) => channel.drop()));
  }

  #add(entry: Entry, link: ServerLink, mapping: Mapping): void {
    const facts = {
      name: entry.name,
      index: entry.index,
      byteLength: entry.byteLength,
      pid: link.pid,
      sends: 1,
      audience: link.audience,
      gone: link.dead,
    } as const;
    const channel = new LinkedChannel(this.#end, facts, mapping, {
      ended: (isOurs) => {
        entry.open.delete(channel);
        // A client that has closed it knows.
        if (isOurs && !link.ended && link.connection.open) link.connection.send({ event: "channels" });
      },
      freed: () => this.#used.delete(channel),
    });
    this.#used.add(channel);
    entry.open.add(channel);
    entry.ends.set(link, channel);
    for (const listener of entry.listeners) listener(channel);
  }
}

/** Checks that a client may open a channel: it has each one once. */
function checkNotOpened({ name, ends }: Entry, link: ServerLink): void {
  if (!ends.has(link)) return;
  throw new LinkRefusal(
    "failed",
    `Cannot open the channel "${name}": this client has opened it already`,
  );
}

/** A client has closed its end, or is gone. */
function end({ ends }: Entry, link: ServerLink): void {
  const channel = ends.get(link);
  ends.delete(link);
  void channel?.finish();
}
