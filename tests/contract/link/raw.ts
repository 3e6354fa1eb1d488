/** A client and a server of the link that do only what a test says, to see what an implementation does. */
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { CLIENT_BYTES, LAYOUT_VERSION, LOCK_BYTES, SERVER_BYTES } from "../../../src/link/layout.ts";
import { Mapping } from "../../../src/memory/mod.ts";
import {
  Connection,
  disposeValue,
  Endpoint,
  FileDescriptor,
  type IncomingMessage,
  Listener,
  SharedMemory,
  type XpcRecord,
} from "../../../src/xpc/mod.ts";

const PATIENCE = 60_000;

// Opened with the module, and for its life: the sanitizer would report a library that a test opens.
const libc = Deno.build.os === "linux"
  ? Deno.dlopen("libc.so.6", {
    socketpair: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
    poll: { parameters: ["buffer", "u64", "i32"], result: "i32", nonblocking: true },
    recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
    send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
    close: { parameters: ["i32"], result: "i32" },
  }).symbols
  : undefined;

/** Resolves when it holds: nothing tells when a word in shared memory changes. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** A doorbell of the test's: a stream socket. */
export class Bell implements AsyncDisposable {
  readonly #ours: number;
  readonly #theirs: number;

  constructor() {
    const pair = new Int32Array(2);
    assertEquals(libc!.socketpair(1, 1 | 0o2000000, 0, pair), 0); // AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC
    [this.#ours, this.#theirs] = pair as unknown as [number, number];
  }

  /** The end to ring it by; the caller disposes it. */
  async descriptor(): Promise<FileDescriptor> {
    return await FileDescriptor.from(this.#theirs);
  }

  /** Waits for a ring and takes all that are there; the bytes. */
  async rings(): Promise<Uint8Array> {
    const request = new Uint8Array(8);
    const view = new DataView(request.buffer);
    view.setInt32(0, this.#ours, true);
    view.setInt16(4, 1, true); // POLLIN
    assertEquals(await libc!.poll(request, 1n, PATIENCE), 1, "somebody rings");
    return this.taken();
  }

  /** Takes the rings that are there. */
  taken(): Uint8Array {
    const bytes = new Uint8Array(4096);
    const length = Number(libc!.recv(this.#ours, bytes, BigInt(bytes.length), 0x40)); // MSG_DONTWAIT
    return bytes.slice(0, Math.max(length, 0));
  }

  [Symbol.asyncDispose](): Promise<void> {
    libc!.close(this.#ours);
    libc!.close(this.#theirs);
    return Promise.resolve();
  }
}

/** Descriptors of doorbells to ring, which it owns. */
export class Ringer implements Disposable {
  readonly #descriptors: readonly number[];

  constructor(...descriptors: number[]) {
    this.#descriptors = descriptors;
  }

  ring(which: number): void {
    const flags = 0x4040; // MSG_DONTWAIT | MSG_NOSIGNAL
    assertEquals(libc!.send(this.#descriptors[which]!, new Uint8Array(1), 1n, flags), 1n);
  }

  [Symbol.dispose](): void {
    for (const descriptor of this.#descriptors) libc!.close(descriptor);
  }
}

/** The words of a mapping, of 32 and of 64 bits, by their offset in bytes. */
export class Words {
  readonly #words32: Uint32Array;
  readonly #words64: BigUint64Array;

  constructor(mapping: Mapping) {
    this.#words32 = mapping.view(Uint32Array, 0, Math.floor(mapping.byteLength / 4));
    this.#words64 = mapping.view(BigUint64Array, 0, Math.floor(mapping.byteLength / 8));
  }

  load(at: number): number {
    return Atomics.load(this.#words32, at / 4);
  }

  store(at: number, value: number): void {
    Atomics.store(this.#words32, at / 4, value);
  }

  load64(at: number): bigint {
    return Atomics.load(this.#words64, at / 8);
  }

  add64(at: number): void {
    Atomics.add(this.#words64, at / 8, 1n);
  }
}

/** A client that says what a test says. */
export class RawClient implements AsyncDisposable {
  readonly connection: Connection;
  /** Its own words. */
  readonly mapping: Mapping;
  /** The notes that came. */
  readonly notes: XpcRecord[] = [];
  readonly #stack = new AsyncDisposableStack();
  #words: Words | undefined;
  #server: Words | undefined;
  #locks: Words | undefined;
  #arrived = Promise.withResolvers<void>();

  private constructor(connection: Connection, mapping: Mapping) {
    this.connection = connection;
    this.mapping = mapping;
    this.#stack.use(mapping);
    this.#stack.use(connection);
  }

  /** Connects to a service that is registered. */
  static async connect(service: string, name: string): Promise<RawClient> {
    await using broker = await Connection.toService(service);
    await broker.request({ op: "hello", min: 1n, max: 1n }, { timeout: PATIENCE });
    const { endpoint } = await broker.request({ op: "lookup", name }, { timeout: PATIENCE });
    assertInstanceOf(endpoint, Endpoint);
    using _ = endpoint;
    const mapping = await Mapping.create(CLIENT_BYTES);
    const connection = await Connection.toEndpoint(endpoint, {
      message: (message) => client.#receive(message),
    });
    const client = new RawClient(connection, mapping);
    return client;
  }

  #receive(message: IncomingMessage): void {
    this.notes.push(message.values); // a descriptor in it is the test's to dispose
    this.#arrived.resolve();
    this.#arrived = Promise.withResolvers();
  }

  /** The descriptor in the one note that came, or comes. */
  async bell(): Promise<FileDescriptor> {
    while (this.notes.length === 0) await this.#arrived.promise;
    assertEquals(this.notes.length, 1);
    const { event, bell } = this.notes[0]!;
    assertEquals(event, "bell");
    assertInstanceOf(bell, FileDescriptor);
    return this.#stack.use(bell);
  }

  /** Sends a request; what the reply holds is disposed at the end. */
  async request(record: XpcRecord): Promise<XpcRecord> {
    const reply = await this.connection.request(record, { timeout: PATIENCE });
    this.#stack.defer(() => disposeValue(reply));
    return reply;
  }

  /** A right hello, changed by `fields`. */
  async hello(fields: XpcRecord = {}): Promise<XpcRecord> {
    using words = this.mapping.share();
    const right = { op: "hello", min: 1n, max: 1n, layout: BigInt(LAYOUT_VERSION), schema: null, words };
    return await this.request({ ...right, ...fields });
  }

  /** Says hello and maps what the reply holds; the owner. */
  async greet(): Promise<number> {
    const { ok, message, owner, server, locks } = await this.hello();
    assertEquals(ok, true, String(message));
    assertInstanceOf(server, FileDescriptor);
    assertInstanceOf(locks, SharedMemory);
    this.#words = new Words(this.mapping);
    this.#server = new Words(this.#stack.use(Mapping.open(server, SERVER_BYTES)));
    this.#locks = new Words(this.#stack.use(Mapping.open(locks, LOCK_BYTES)));
    return Number(owner);
  }

  get words(): Words {
    assert(this.#words !== undefined, "hello was said");
    return this.#words;
  }

  get server(): Words {
    assert(this.#server !== undefined, "hello was said");
    return this.#server;
  }

  get locks(): Words {
    assert(this.#locks !== undefined, "hello was said");
    return this.#locks;
  }

  /** A request that is refused: the code. */
  async refused(record: XpcRecord): Promise<unknown> {
    return codeOf(await this.request(record));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** The code of a refusal, which has no more than it must. */
export function codeOf(reply: XpcRecord): unknown {
  const { ok, code, message, ...rest } = reply;
  assertEquals([ok, typeof message, rest], [false, "string", {}], Deno.inspect(reply));
  return code;
}

/** What a server of a test's answers, from the request. */
export type Answer = (values: XpcRecord, message: IncomingMessage) => XpcRecord | Promise<XpcRecord>;

/** A server that answers what a test says. */
export class RawServer implements AsyncDisposable {
  /** All that clients sent, in order. */
  readonly received: XpcRecord[] = [];
  /** The connections of its clients. */
  readonly connections: Connection[] = [];
  readonly serverMapping: Mapping;
  readonly lockMapping: Mapping;
  readonly frame: Mapping;
  readonly server: Words;
  readonly locks: Words;
  /** The answers, by operation. */
  readonly answers: Record<string, Answer>;
  readonly #stack = new AsyncDisposableStack();

  private constructor(serverMapping: Mapping, lockMapping: Mapping, frame: Mapping) {
    this.serverMapping = this.#stack.use(serverMapping);
    this.lockMapping = this.#stack.use(lockMapping);
    this.frame = this.#stack.use(frame);
    this.server = new Words(serverMapping);
    this.locks = new Words(lockMapping);
    this.server.add64(8); // generation 1
    this.answers = {
      hello: () => this.hello(),
      open: () => this.open(),
      bell: () => ({ ok: true }),
    };
  }

  /** Registers one that answers hello and `open` rightly, unless a test replaces that. */
  static async serve(service: string, name: string): Promise<RawServer> {
    const server = new RawServer(
      await Mapping.create(SERVER_BYTES, { readOnlyForOthers: true }),
      await Mapping.create(LOCK_BYTES),
      await Mapping.create(10_000),
    );
    const listener = await Listener.anonymous((connection) => {
      server.connections.push(connection);
      return { message: (message) => void server.#receive(message) };
    });
    server.#stack.use(listener);
    const broker = server.#stack.use(await Connection.toService(service));
    await broker.request({ op: "hello", min: 1n, max: 1n }, { timeout: PATIENCE });
    using endpoint = listener.endpoint();
    await broker.request({ op: "register", name, endpoint, policy: "reject" }, { timeout: PATIENCE });
    return server;
  }

  async #receive(message: IncomingMessage): Promise<void> {
    if (this.#stack.disposed) return message[Symbol.dispose](); // it came while the server ended
    this.received.push(message.values);
    this.#stack.use(message);
    if (!message.expectsReply) return;
    const answer = this.answers[String(message.values["op"])];
    const reply = await answer?.(message.values, message) ?? { ok: false, code: "bad_request", message: "" };
    message.reply(reply);
  }

  /** A right answer to hello, changed by `fields`. */
  hello(fields: XpcRecord = {}): XpcRecord {
    const server = this.#stack.use(this.serverMapping.share());
    const locks = this.#stack.use(this.lockMapping.share());
    return { ok: true, version: 1n, owner: 77n, server, locks, features: [], ...fields };
  }

  /** A right answer to `open`: region 0, of 10,000 bytes. */
  open(): XpcRecord {
    const memory = this.#stack.use(this.frame.share());
    return { ok: true, index: 0n, generation: 1n, byteLength: 10_000n, memory };
  }

  /** What was received of this operation. */
  operations(op: string): XpcRecord[] {
    return this.received.filter((values) => values["op"] === op);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
