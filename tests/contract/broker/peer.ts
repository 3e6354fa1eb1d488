/** A client of a broker, as tests want it: requests, events, and exact answers. */
import { assert, assertEquals } from "@std/assert";
import { type ErrorCode, MESSAGES } from "../../../src/broker/protocol.ts";
import { Endpoint } from "../../../src/xpc/endpoint.ts";
import { Connection, type ConnectionError, Listener, type XpcRecord } from "../../../src/xpc/mod.ts";

/** Longer than anything takes: so that a broker that does not answer fails a test and does not hang it. */
const PATIENCE = 60_000;

/** What an endpoint's listener is known by. */
export interface Service extends AsyncDisposable {
  /** A new endpoint, the caller's. */
  endpoint(): Endpoint;
}

/** A listener that answers every message with its token. */
export async function offer(token: string): Promise<Service> {
  const listener = await Listener.anonymous(() => ({
    message: (message) => {
      using _ = message;
      message.reply({ token });
    },
  }));
  return { endpoint: () => listener.endpoint(), [Symbol.asyncDispose]: () => listener.close() };
}

/** Connects to an endpoint of {@linkcode offer}, disposes it, and gives the token. */
export async function tokenOf(endpoint: unknown): Promise<unknown> {
  assert(endpoint instanceof Endpoint, "the reply has an endpoint");
  using _ = endpoint;
  await using connection = await Connection.toEndpoint(endpoint);
  return (await connection.request({}, { timeout: PATIENCE }))["token"];
}

/** A connection to a broker. */
export class Peer implements AsyncDisposable {
  /** The connection itself. */
  readonly connection: Connection;
  readonly #events: XpcRecord[] = [];
  #arrived = Promise.withResolvers<void>();

  private constructor(connection: Connection) {
    this.connection = connection;
  }

  /** Connects and, unless told otherwise, says hello. */
  static async connect(service: string, options: { hello?: boolean } = {}): Promise<Peer> {
    const connection = await Connection.toService(service, {
      message: (message) => {
        assert(!message.expectsReply, "an event awaits no reply");
        peer.#events.push(message.values);
        peer.#arrived.resolve();
      },
      closed: () => peer.#arrived.resolve(),
      interrupted: () => peer.#arrived.resolve(),
    });
    const peer = new Peer(connection);
    if (options.hello !== false) await peer.ok({ op: "hello", min: 1n, max: 1n });
    return peer;
  }

  /** Sends a request and gives the reply. */
  request(record: XpcRecord): Promise<XpcRecord> {
    return this.connection.request(record, { timeout: PATIENCE });
  }

  /** A request that succeeds: the reply. */
  async ok(record: XpcRecord): Promise<XpcRecord> {
    const reply = await this.request(record);
    assertEquals(reply["ok"], true, `${String(record["op"])}: ${String(reply["message"])}`);
    return reply;
  }

  /** A request that fails: checks all that the reply says. */
  async fails(record: XpcRecord, code: ErrorCode, field = "", more: XpcRecord = {}): Promise<void> {
    assertFailure(await this.request(record), code, field, more);
  }

  /** Registers a name; the reply. */
  async register(name: string, service: Service, fields: XpcRecord = {}): Promise<XpcRecord> {
    using endpoint = service.endpoint();
    return await this.request({ op: "register", name, endpoint, policy: "reject", ...fields });
  }

  /** Registers a name where that succeeds; the generation. */
  async registered(name: string, service: Service, fields: XpcRecord = {}): Promise<bigint> {
    const reply = await this.register(name, service, fields);
    assertEquals([reply["ok"], reply["registered"]], [true, true], String(reply["message"]));
    assertEquals(reply["pid"], BigInt(Deno.pid));
    return reply["generation"] as bigint;
  }

  /** The next event. */
  async event(): Promise<XpcRecord> {
    for (;;) {
      const event = this.#events.shift();
      if (event !== undefined) return event;
      assert(this.connection.open, "the connection lives until the event");
      this.#arrived = Promise.withResolvers();
      await this.#arrived.promise;
    }
  }

  /**
   * Checks that no event is there or on its way, and unwatches. Events keep their order among themselves only: so this
   * causes one, which must be the first.
   */
  async noEvents(): Promise<void> {
    await using service = await offer("last");
    const name = `last-${crypto.randomUUID()}`;
    await this.ok({ op: "watch" });
    const generation = await this.registered(name, service);
    await this.ok({ op: "unregister", name, generation });
    for (const event of ["registered", "unregistered"]) {
      assertSays(await this.event(), { event, name, generation, pid: BigInt(Deno.pid) });
    }
    await this.ok({ op: "unwatch" });
  }

  /** Resolves when as many lookups wait in the broker: requests of other connections are not ordered against ours. */
  async waiting(count: number): Promise<void> {
    while ((await this.ok({ op: "status" }))["waiting"] !== BigInt(count)) await Promise.resolve();
  }

  /** Resolves when the broker counts as many of these. */
  async counts(what: "peers" | "services" | "watchers", count: number): Promise<void> {
    while ((await this.ok({ op: "status" }))[what] !== BigInt(count)) await Promise.resolve();
  }

  /** Resolves when the connection is over. */
  get closed(): Promise<ConnectionError> {
    return this.connection.closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.connection.close();
  }
}

/** Checks that a reply says this failure, and nothing more than `more`. */
export function assertFailure(
  reply: XpcRecord,
  code: ErrorCode,
  field = "",
  more: XpcRecord = {},
  about?: string,
): void {
  const message = MESSAGES[code].replace("FIELD", field);
  assertEquals<XpcRecord>({ ...reply }, { ok: false, code, message, ...more }, about);
}

/** Checks all that a reply or an event says. */
export function assertSays(actual: XpcRecord, expected: XpcRecord): void {
  assertEquals<XpcRecord>({ ...actual }, expected);
}
