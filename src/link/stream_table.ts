import { SharedMemory, type XpcRecord } from "../xpc/mod.ts";
import { ChangeQueue } from "./change_queue.ts";
import type { IndexTable } from "./index_table.ts";
import { serverRevisionAt } from "./layout.ts";
import type { LinkEnd } from "./link_end.ts";
import { NamedTable } from "./named_table.ts";
import type { HostPart, Operation } from "./operations.ts";
import { integerOf, LinkRefusal } from "./protocol.ts";
import { ServedStream, type StreamFacts } from "./served_stream.ts";
import { checkRegionName } from "./served_region.ts";
import type { ServerLink } from "./server_link.ts";
import { tellGeneration } from "./word_place.ts";
import { checkStreamOptions, type StreamOptions } from "./stream_options.ts";

/** The streams of a server, by name. Changes happen one after the other, in the order in which they were asked for. */
export class StreamTable implements HostPart {
  readonly #end: LinkEnd;
  readonly #indexes: IndexTable;
  readonly #streams = new NamedTable<ServedStream>("stream");
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

  /** `stream` gives a stream's memory to a client, `stream_close` takes its leases back. */
  readonly operations: Readonly<Record<string, Operation>> = {
    stream: (link, { values: { name, leases } }) => {
      if (!(leases instanceof SharedMemory)) {
        throw new LinkRefusal("bad_request", "Cannot open a stream: leases is not shared memory");
      }
      const stream = this.#streams.asked(name);
      const { byteLength, slots, offset, stride } = stream.shape;
      using undo = new DisposableStack();
      const memory = undo.use(stream.mapping.share());
      const reader = stream.addReader(link, leases);
      undo.move(); // the reply owns it
      return {
        index: BigInt(stream.index),
        generation: BigInt(stream.generation),
        byteLength: BigInt(byteLength),
        slots: BigInt(slots),
        offset: BigInt(offset),
        stride: BigInt(stride),
        memory,
        reader: BigInt(reader),
      };
    },

    stream_close: (link, { values: { name, generation, reader } }) => {
      const id = integerOf(reader, Number.MAX_SAFE_INTEGER);
      const number = integerOf(generation, Number.MAX_SAFE_INTEGER);
      if (typeof name !== "string" || id === undefined || number === undefined) {
        throw new LinkRefusal(
          "bad_request",
          "Cannot close a stream: name, generation or reader is not valid",
        );
      }
      const stream = this.#streams.get(name);
      if (stream?.generation === number) stream.removeReader(link, id);
      return {};
    },
  };

  /** Lists the streams. */
  describe(): XpcRecord {
    return {
      streams: [...this.#streams.values()].map((stream) => ({
        name: stream.name,
        byteLength: BigInt(stream.shape.byteLength),
        slots: BigInt(stream.shape.slots),
        generation: BigInt(stream.generation),
        sequence: BigInt(stream.last),
        readers: BigInt(stream.readers),
      })),
    };
  }

  /** A client is gone: its leases end. */
  forget(link: ServerLink): void {
    for (const stream of this.#streams.values()) stream.forget(link);
  }

  /** The names. */
  get names(): string[] {
    return this.#streams.names;
  }

  /**
   * A stream, in its newest generation.
   *
   * @throws {Deno.errors.NotFound} if there is none of that name; the message lists the names
   */
  get(name: string): ServedStream {
    return this.#streams.find(name);
  }

  /**
   * Adds a stream.
   *
   * @throws {TypeError} if there is one of that name, an option is not valid, or the server is closed
   * @throws {RangeError} if a length is not valid, or the service shares 256 things already
   */
  add(name: string, options: StreamOptions): Promise<ServedStream> {
    checkRegionName(name);
    checkStreamOptions(name, options);
    return this.#changes.add(async () => {
      this.#checkOpen("add", name);
      if (this.#streams.has(name)) {
        throw new TypeError(
          `Cannot add the stream "${name}": there is one of that name. Use replaceStream() to change it`,
        );
      }
      return await this.#indexes.use(`the stream "${name}"`, (index, generation) => {
        return this.#put(name, options, () => ({ name, index, generation, last: 0 }));
      });
    });
  }

  /**
   * Puts a new generation in the place of a stream, and closes the old one. Its frames go on counting.
   *
   * @throws {Deno.errors.NotFound} if there is none of that name
   * @throws {TypeError} if an option is not valid, or the server is closed
   * @throws {RangeError} if a length is not valid
   */
  replace(name: string, options: StreamOptions): Promise<ServedStream> {
    checkRegionName(name);
    checkStreamOptions(name, options);
    return this.#changes.add(async () => {
      this.#checkOpen("replace", name);
      const before = this.get(name);
      const { index, generation } = before;
      const facts = (): StreamFacts => ({ name, index, generation: generation + 1, last: before.last });
      const stream = await this.#put(name, options, facts, () => {
        const { audience, server, queue: { library: { shim } } } = this.#end;
        shim.shim_revision_commit(audience, server.word(serverRevisionAt(index), 8), index);
        void before.close(); // at once: no frame is published in the old one any more
      });
      await before.close();
      return stream;
    });
  }

  /** Closes all streams. A change under way fails; later ones do, too. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#changes.settled();
    await Promise.all([...this.#streams.values()].map((stream) => stream.close()));
  }

  /** Makes a stream and puts it in its place; `done` comes in the same turn. */
  async #put(
    name: string,
    options: StreamOptions,
    facts: () => StreamFacts,
    done: () => void = () => {},
  ): Promise<ServedStream> {
    return await ServedStream.create(this.#end, name, options, () => {
      this.#checkOpen("make", name);
      return facts();
    }, (stream) => {
      const { generation, index } = stream;
      this.#streams.set(name, stream);
      tellGeneration(this.#end, index, generation);
      done();
    });
  }

  #checkOpen(doing: string, name: string): void {
    if (this.#closed) throw new TypeError(`Cannot ${doing} the stream "${name}": the server is closed`);
  }
}
