import type { Address, ShimAudience } from "../../ffi/types.ts";
import { Mapping } from "../memory/mapping.ts";
import { OwnerDeath } from "../sync/owner_death.ts";
import { ParkedWord } from "../sync/parked_word.ts";
import { goneError } from "../sync/revision_place.ts";
import { Turns } from "../sync/turns.ts";
import type { Endpoint } from "../xpc/endpoint.ts";
import type { EventQueue } from "../xpc/event_queue.ts";
import {
  Connection,
  type ConnectionError,
  disposeValue,
  FileDescriptor,
  SharedMemory,
  type XpcRecord,
} from "../xpc/mod.ts";
import { ClientBell } from "./client_bell.ts";
import { CommitNotes } from "./commit_notes.ts";
import { type RegionDescription, regionsIn } from "./description.ts";
import { IncompatibleError } from "./errors.ts";
import { describeEstate, isOffered } from "./estate.ts";
import { ADOPT, BELLS, commonFeatures, REGIONS } from "./features.ts";
import {
  ALL_TURNS_AT,
  CLIENT_BYTES,
  clientParkedAt,
  GONE_AT,
  LOCK_BYTES,
  LOCK_MEMORY_BYTES,
  MAXIMUM_HOLDERS,
  MAXIMUM_REGIONS,
  MUTEX_OWNER,
  mutexAt,
  SERVER_BYTES,
  SERVER_OWNER,
  serverParkedAt,
  sharedRevisionAt,
  STRIDE,
} from "./layout.ts";
import type { Linked, LinkEnd } from "./link_end.ts";
import { LinkedChannel } from "./linked_channel.ts";
import { LinkedLock } from "./linked_lock.ts";
import { isLockKind } from "./lock_spec.ts";
import { LinkedRegion } from "./linked_region.ts";
import { Inbox, type MessageHandlers } from "./messages_inbox.ts";
import { Outbox, TO_CLIENT, TO_SERVER } from "./messages_outbox.ts";
import { integerOf, LAYOUT, NEWEST_VERSION, OLDEST_VERSION } from "./protocol.ts";
import { ServerBell } from "./server_bell.ts";
import { Sharing } from "./sharing.ts";
import { bytesBehind, tileBytesOf } from "./tile_bytes.ts";

/** What a client must know of a server to connect. */
export interface LinkTarget {
  /** Where to connect. */
  readonly endpoint: Endpoint;
  /** The hash of the schema, or `null`. */
  readonly schema: Uint8Array | null;
  /** A code-signing requirement for the server. */
  readonly requirement: string | undefined;
  /** What the client calls itself. */
  readonly label: string | undefined;
  /** What to do with the messages of the server. */
  readonly messages: MessageHandlers;
  /** What this process still has of a server that is gone, for the next one. */
  readonly estate?: () => readonly LinkedRegion[];
  /** Called when the server says that its regions are others. */
  readonly regionsChanged?: (() => void) | undefined;
}

/** How to open a region. */
export interface OpenRegionOptions {
  /** Whether to write. */
  readonly write: boolean;
  /** Whether to make all pages resident now. */
  readonly prefault: boolean;
  /** The description of the layout that this side expects; `undefined` for any. */
  readonly layout?: string | undefined;
  /** Ends the wait for the server's reply. */
  readonly signal: AbortSignal | undefined;
  /** Whether the memory is to be shared on one day; by default if the server would take it back. */
  readonly keep?: boolean;
}

/** What the reply to hello gave: the server's memory and our number. */
interface Welcome {
  readonly owner: number;
  readonly features: ReadonlySet<string>;
  /** The names of the regions that the server wants from us. */
  readonly wanted: readonly string[];
  readonly server: Mapping;
  readonly locks: Mapping;
}

/** Releases what a link has got so far, in the reverse order. */
type Undo = AsyncDisposableStack;

/**
 * One connection of a client to one life of a server. Everything here ends with it: see `PROTOCOL.md`.
 *
 * A link is made in two steps: {@linkcode ClientLink.open} connects and shakes hands, and only then is there an object,
 * so that none of its fields stands for "not yet".
 */
export class ClientLink implements LinkEnd {
  readonly queue: EventQueue;
  readonly server: Mapping;
  readonly locks: Mapping;
  readonly owner: number;
  readonly audience: ShimAudience;
  readonly bell: ClientBell;
  readonly gone: Address;
  /** What this side sends of requests and messages. */
  readonly outbox: Outbox;
  readonly turns: Turns;
  readonly sharing: Sharing;
  /** A client releases nothing for a dead server: the locks end with it. */
  readonly ownedLocks = null;
  readonly #connection: Connection;
  readonly #features: ReadonlySet<string>;
  readonly #words: Mapping;
  readonly #undo: Undo;
  readonly #serverDeath: OwnerDeath;
  readonly #serverBell: ServerBell;
  readonly #notes: CommitNotes;
  /** What was opened and is not closed. */
  readonly #opened = new Set<Linked>();
  readonly #parked = new Map<number, ParkedWord>();
  /** The server's parked words by the number of the region: an address takes longer to make than a commit. */
  readonly #serverParked: Address[] = [];
  readonly #unused = Promise.withResolvers<void>();
  #closing: Promise<void> | undefined;
  #orphaned = false;

  /** Connects and shakes hands. Takes over one use of the queue, also when it fails. */
  static async open(
    queue: EventQueue,
    target: LinkTarget,
    signal: AbortSignal | undefined,
  ): Promise<ClientLink> {
    await using undo = new AsyncDisposableStack();
    undo.defer(() => queue.release());
    const words = undo.use(await Mapping.create(CLIENT_BYTES));
    const { shim } = queue.library;
    const audience = shim.shim_audience_create();
    if (audience === null) throw new Error("Cannot connect: no memory is left");
    undo.defer(() => shim.shim_audience_free(audience));
    const serverBell = undo.use(new ServerBell(queue, audience));
    const inbox = new Inbox(TO_CLIENT, target.messages);
    const made: { link?: ClientLink } = {};
    const connection = undo.use(
      await Connection.toEndpoint(target.endpoint, {
        message: (message) => {
          if (message.values["event"] === "regions") target.regionsChanged?.();
          if (message.values["event"] === "channels") made.link?.noticeChannels();
          if (!inbox.receive(message)) serverBell.receive(message);
        },
        requirement: target.requirement,
      }),
    );
    inbox.join(connection);
    const bell = new ClientBell(queue);
    undo.defer(() => bell.close());
    const regions = target.estate?.() ?? [];
    const welcome = await hello({ connection, words, target, regions, bell, serverBell }, signal, undo);
    // The broker's word on who serves does not count here: the kernel's does.
    if (connection.peer.euid !== shim.shim_euid()) {
      throw new IncompatibleError(`Cannot connect: user ${connection.peer.euid} runs the server`);
    }
    // Set last and so undone first: what the server holds stays held when it is we who leave.
    const serverDeath = undo.use(
      new OwnerDeath(queue.library, connection, {
        mutexes: welcome.locks.word(mutexAt(0)),
        revisions: welcome.locks.word(sharedRevisionAt(0), 8),
        stride: STRIDE,
        count: MAXIMUM_REGIONS,
        owner: SERVER_OWNER,
        gone: words.word(GONE_AT),
        turns: welcome.locks.word(ALL_TURNS_AT, 8),
        locks: null,
      }),
    );
    serverBell.join(welcome.server);
    await give(connection, welcome.wanted, regions, signal);
    const link = new ClientLink(
      queue,
      connection,
      words,
      welcome,
      audience,
      bell,
      serverBell,
      serverDeath,
      undo.move(),
    );
    made.link = link;
    return link;
  }

  private constructor(
    queue: EventQueue,
    connection: Connection,
    words: Mapping,
    welcome: Welcome,
    audience: ShimAudience,
    bell: ClientBell,
    serverBell: ServerBell,
    serverDeath: OwnerDeath,
    undo: Undo,
  ) {
    this.queue = queue;
    this.server = welcome.server;
    this.locks = welcome.locks;
    this.owner = welcome.owner;
    this.audience = audience;
    this.gone = words.word(GONE_AT);
    this.turns = new Turns(queue, welcome.locks.word(ALL_TURNS_AT, 8));
    this.bell = bell;
    this.outbox = new Outbox(connection, TO_SERVER);
    this.#connection = connection;
    this.#features = welcome.features;
    this.#words = words;
    this.#undo = undo;
    this.#serverDeath = serverDeath;
    this.#serverBell = serverBell;
    this.#notes = new CommitNotes(connection);
    this.sharing = new Sharing(this, {
      words,
      parked: words.word(clientParkedAt(0)),
      mortal: connection,
      canRing: () => serverBell.known,
      ring: () => bell.ring(),
    });
  }

  /** Resolves when the server is gone, or the link was closed. */
  get closed(): Promise<ConnectionError> {
    return this.#connection.closed;
  }

  /** The process that serves, from the kernel. */
  get pid(): number {
    return this.#connection.peer.pid;
  }

  /** What is open of the regions. */
  get regions(): LinkedRegion[] {
    return [...this.#opened].filter((opened) => opened instanceof LinkedRegion);
  }

  /** Has the channels look whether the server has left them. */
  noticeChannels(): void {
    for (const opened of this.#opened) {
      if (opened instanceof LinkedChannel) opened.notice();
    }
  }

  /**
   * Opens a region.
   *
   * @throws {Deno.errors.NotFound} if the server has no such region
   * @throws {Deno.errors.NotCapable} if it is to be written, and clients may only read it
   * @throws {IncompatibleError} if the answer is not valid
   * @throws {ConnectionError} if the server is gone
   */
  async region(name: string, options: OpenRegionOptions): Promise<LinkedRegion> {
    const { layout: ours } = options;
    const reply = await this.ask(
      ours === undefined ? { op: "open", name } : { op: "open", name, layout: ours },
      options.signal,
    );
    try {
      const index = integerOf(reply["index"], MAXIMUM_REGIONS - 1);
      const generation = integerOf(reply["generation"], Number.MAX_SAFE_INTEGER);
      const byteLength = integerOf(reply["byteLength"], Number.MAX_SAFE_INTEGER);
      const tileBytes = tileBytesOf(reply["tileBytes"]);
      const memory = reply["memory"];
      if (
        index === undefined || generation === undefined || byteLength === undefined ||
        tileBytes === undefined ||
        !(memory instanceof SharedMemory || memory instanceof FileDescriptor)
      ) throw new IncompatibleError(`Cannot open "${name}": the server's answer is not of this version`);
      const clients = memory instanceof SharedMemory ? "write" : "read";
      if (options.write && clients === "read") {
        throw new Deno.errors.NotCapable(
          `Cannot open "${name}" for writing: its server lets clients only read it`,
        );
      }
      this.check(name);
      const behind = tileBytes === 0 ? 0 : bytesBehind(byteLength, tileBytes);
      const { prefault, keep = this.#features.has(ADOPT) } = options;
      const mapping = Mapping.open(memory, byteLength, { name, prefault, behind, keep });
      const { layout: theirs } = reply;
      const layout = typeof theirs === "string" ? theirs : undefined;
      const facts = { name, index, generation, clients, tileBytes, layout } as const;
      return this.keep(new LinkedRegion(this, facts, mapping, (closed) => this.drop(closed)));
    } finally {
      disposeValue(reply);
    }
  }

  /** Asks for all regions. */
  async describe(signal: AbortSignal | undefined): Promise<RegionDescription[]> {
    return regionsIn(await this.ask({ op: "describe" }, signal));
  }

  /**
   * Opens a lock.
   *
   * @throws {Deno.errors.NotFound} if the server has no such lock
   * @throws {IncompatibleError} if the answer is not valid
   * @throws {ConnectionError} if the server is gone
   */
  async lock(name: string, signal: AbortSignal | undefined): Promise<LinkedLock> {
    const reply = await this.ask({ op: "lock", name }, signal);
    try {
      const index = integerOf(reply["index"], MAXIMUM_REGIONS - 1);
      const limit = integerOf(reply["limit"], MAXIMUM_HOLDERS);
      const { kind, memory } = reply;
      if (
        index === undefined || limit === undefined || !isLockKind(kind) ||
        (kind === "mutex" ? memory !== undefined : !(memory instanceof SharedMemory)) ||
        (kind === "semaphore") !== (limit > 0)
      ) throw new IncompatibleError(`Cannot open "${name}": the server's answer is not of this version`);
      this.check(name);
      using undo = new DisposableStack();
      const mapping = memory instanceof SharedMemory
        ? undo.use(Mapping.open(memory, LOCK_MEMORY_BYTES, { name }))
        : undefined;
      const lock = new LinkedLock(this, { name, index, kind, limit }, mapping, (closed) => this.drop(closed));
      undo.move();
      return this.keep(lock);
    } finally {
      disposeValue(reply);
    }
  }

  /**
   * Sends a request to the server.
   *
   * @returns the reply, which the caller disposes
   * @throws the error that a refusal stands for, {@linkcode ConnectionError} if the server is gone, or the signal's
   *   reason
   */
  async ask(request: XpcRecord, signal: AbortSignal | undefined): Promise<XpcRecord> {
    const reply = await this.#connection.request(request, { signal });
    try {
      checkReply(reply);
    } catch (error) {
      disposeValue(reply);
      throw error;
    }
    return reply;
  }

  /**
   * Checks that something can be opened still: the link may have been closed or orphaned while a reply was under way.
   *
   * @throws {PeerGoneError} if it was
   */
  check(name: string): void {
    if (this.#closing !== undefined || this.#orphaned) throw goneError(name);
  }

  /** Remembers what was opened, so that it hears of the server's end, and is closed with the link at the latest. */
  keep<L extends Linked>(opened: L): L {
    this.#opened.add(opened);
    return opened;
  }

  /** Forgets what was closed. */
  drop(closed: Linked): void {
    this.#opened.delete(closed);
    if (this.#orphaned && this.#opened.size === 0) this.#unused.resolve();
  }

  parkedWord(index: number): ParkedWord {
    let word = this.#parked.get(index);
    if (word === undefined) {
      word = new ParkedWord(this.queue.library, this.#words.word(clientParkedAt(index)));
      this.#parked.set(index, word);
    }
    return word;
  }

  /** Wakes the server by a message where it gave us no bell, and someone there waits. */
  committed(index: number): void {
    if (this.#serverBell.known) return;
    const parked = this.#serverParked[index] ??= this.server.word(serverParkedAt(index));
    if (this.queue.library.shim.shim_word_load(parked) !== 0) this.#notes.send(index);
  }

  /** The server is gone: tells all that was opened, and ends when the last of it is closed. */
  async orphan(): Promise<void> {
    this.#orphaned = true;
    await Promise.all([...this.#opened].map((opened) => opened.orphan(goneError(opened.name))));
    if (this.#opened.size > 0) await this.#unused.promise;
    await this.close();
  }

  /** Closes what is open still, then the connection, then the words. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#opened].map((opened) => opened.close()));
    await this.turns.close();
    // It is we who leave: what the server holds stays held.
    this.#serverDeath[Symbol.dispose]();
    await this.#connection.close();
    await this.bell.close();
    await this.#undo.disposeAsync();
  }
}

/** What a client says hello with. */
interface Hello {
  readonly connection: Connection;
  readonly words: Mapping;
  readonly target: LinkTarget;
  readonly regions: readonly LinkedRegion[];
  readonly bell: ClientBell;
  readonly serverBell: ServerBell;
}

/** Gives the server the regions that it wants. What cannot be given it makes anew. */
async function give(
  connection: Connection,
  wanted: readonly string[],
  regions: readonly LinkedRegion[],
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const name of wanted) {
    // The newest of those that hello told.
    const region = regions.findLast((each) => each.name === name && isOffered(each));
    if (region === undefined) continue; // its user has closed it meanwhile
    using memory = region.mapping.share();
    try {
      disposeValue(await connection.request({ op: "give", name, memory }, { signal }));
    } catch (error) {
      // Without a descriptor the server goes on without this region. That the server is gone shows at the next request.
      if (signal?.aborted === true) throw error;
    }
  }
}

/** Says hello and maps what the server gives. */
async function hello(
  { connection, words: ownWords, target, regions, bell: ownBell, serverBell }: Hello,
  signal: AbortSignal | undefined,
  undo: Undo,
): Promise<Welcome> {
  const { schema, label, regionsChanged } = target;
  using words = ownWords.share();
  using bell = await ownBell.first();
  const features = regionsChanged === undefined ? [BELLS, ADOPT] : [BELLS, ADOPT, REGIONS];
  const estate = regions.length === 0 ? undefined : describeEstate(regions);
  const range = { min: OLDEST_VERSION, max: NEWEST_VERSION };
  const request = { op: "hello", ...range, layout: LAYOUT, schema, words, features, label, estate };
  const reply = await connection.request(bell === undefined ? request : { ...request, bell }, { signal });
  try {
    checkReply(reply);
    const agreed = commonFeatures(reply["features"], features);
    const hasBells = agreed.has(BELLS);
    const { bell: theirs } = reply;
    ownBell.begin(hasBells && bell !== undefined, async (bell) => {
      checkReply(await connection.request({ op: "bell", bell }));
    });
    if (hasBells && theirs instanceof FileDescriptor) serverBell.take(theirs);
    const version = integerOf(reply["version"], Number(NEWEST_VERSION));
    const owner = integerOf(reply["owner"], MUTEX_OWNER);
    const { server, locks } = reply;
    if (
      version === undefined || version < Number(OLDEST_VERSION) || owner === undefined ||
      owner <= SERVER_OWNER ||
      !(server instanceof FileDescriptor) || !(locks instanceof SharedMemory)
    ) {
      throw new IncompatibleError("Cannot connect: the server's answer to hello is not of this version");
    }
    const { adopt } = reply;
    return {
      owner,
      features: agreed,
      wanted: Array.isArray(adopt) ? adopt.filter((name) => typeof name === "string") : [],
      server: undo.use(Mapping.open(server, SERVER_BYTES)),
      locks: undo.use(Mapping.open(locks, LOCK_BYTES)),
    };
  } finally {
    disposeValue(reply);
  }
}

/** Throws the error that a refusal stands for. */
function checkReply(reply: XpcRecord): void {
  if (reply["ok"] === true) return;
  const { code, message } = reply;
  if (typeof message !== "string") {
    throw new IncompatibleError("Cannot use the server: its answer is not of this version");
  }
  if (code === "incompatible") throw new IncompatibleError(message);
  if (code === "not_found") throw new Deno.errors.NotFound(message);
  throw new Error(message);
}
