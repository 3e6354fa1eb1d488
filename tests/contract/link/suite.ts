/** What the tests of the link share: a broker, a server and a client of two implementations. */
import { Broker } from "../../../src/broker/broker.ts";
import { Connection, ConnectionError } from "../../../src/xpc/mod.ts";
import { brokerName, uniqueName } from "../../support/process.ts";
import { type Implementation, Party } from "./parties.ts";

/** A test that every pair of implementations has to pass. */
export interface PairTest {
  /** What it shows. */
  readonly name: string;
  /** Fails where the pair does not do that. */
  run(pair: Pair): Promise<void>;
  /** Whether it needs implementations that have all of the page. */
  readonly needsWhole?: boolean;
}

/** A test that every implementation of a server, or of a client, has to pass. */
export interface SideTest {
  /** What it shows. */
  readonly name: string;
  /** Fails where the implementation does not do that. */
  run(implementation: Implementation): Promise<void>;
  /** Whether it needs an implementation that has all of the page. */
  readonly needsWhole?: boolean;
}

/** Who is the server, who the client. */
export interface Pair {
  readonly server: Implementation;
  readonly client: Implementation;
}

/** The region that clients may write, and the one that they only read: as `serve` takes them. */
export const REGIONS = ["frame", 10_000, "write", "mask", 20_000, "read"] as const;

/** A broker of a test's own, a name, and the parties that the test starts. */
export class Setting implements AsyncDisposable {
  /** The broker's name. */
  readonly service: string;
  /** The service's name. */
  readonly name: string = uniqueName("link");
  readonly #parties = new AsyncDisposableStack();

  private constructor(service: string) {
    this.service = service;
  }

  /** Starts the broker. */
  static async start(): Promise<Setting> {
    const setting = new Setting(brokerName());
    setting.#parties.use(await Broker.start({ service: setting.service }));
    await answers(setting.service);
    return setting;
  }

  /** A server with {@linkcode REGIONS}, and a client that has opened both. */
  static async pair({ server, client }: Pair): Promise<{ setting: Setting; server: Party; client: Party }> {
    const setting = await Setting.start();
    try {
      return { setting, server: await setting.server(server), client: await setting.client(client) };
    } catch (error) {
      await setting[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** A process that does nothing yet. */
  async party(implementation: Implementation): Promise<Party> {
    return this.#parties.use(await Party.start(implementation));
  }

  /** A server with {@linkcode REGIONS}. */
  async server(implementation: Implementation): Promise<Party> {
    const server = await this.party(implementation);
    await server.run("serve", this.service, this.name, "-", ...REGIONS);
    return server;
  }

  /** A client that has opened both regions. */
  async client(implementation: Implementation): Promise<Party> {
    const client = await this.party(implementation);
    await client.run("connect", this.service, this.name, "-");
    await client.run("open", "frame", "write");
    await client.run("open", "mask", "read");
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parties.disposeAsync();
  }
}

/** Resolves when the broker answers hello: it listens a moment after it has started. */
async function answers(service: string): Promise<void> {
  const signal = AbortSignal.timeout(60_000);
  for (;;) {
    await using connection = await Connection.toService(service);
    try {
      await connection.request({ op: "hello", min: 1n, max: 1n }, { signal });
      return;
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      signal.throwIfAborted(); // nothing tells when a service appears
    }
  }
}

/** Resolves when `party` sees that the other side is parked on a region, where it can see that. */
export async function seesParked(party: Party, region: string): Promise<void> {
  if (!party.implementation.seesParked) return;
  while (await party.number("parked", region) === 0) await Promise.resolve(); // nothing tells when a word changes
}

/** Resolves when the server has so many clients. */
export async function hasClients(server: Party, count: number): Promise<void> {
  while (await server.number("clients") !== count) await Promise.resolve();
}
