import { backOff } from "../broker/abort.ts";
import { BrokerClient, type BrokerSelection } from "../broker/broker_client.ts";
import { BrokerConnection } from "../broker/broker_connection.ts";
import { BrokerUnavailableError } from "../broker/errors.ts";
import { DEFAULT_SERVICE } from "../broker/release.ts";
import { type BrokerEvent, type ListedService, RefusedError } from "../broker/replies.ts";
import { checkListOptions } from "./options.ts";

/** Options of {@linkcode watch}. */
export interface WatchOptions {
  /** The broker to ask. Where there is none and `embedded` allows it, this process becomes the broker. */
  broker?: BrokerSelection | undefined;
  /** Ends the iteration with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** A service came or went. */
export interface ServiceChange {
  /** Which of the two. */
  readonly type: "added" | "removed";
  /** The name of the service. */
  readonly name: string;
  /** The process that serves it, or did. */
  readonly pid: number;
}

/** How long the services of a broker that died have to register at the next one, in milliseconds. */
const PATIENCE = 2000;

/** The longest pause between two tries to reach a broker, in milliseconds. */
const LONGEST_PAUSE = 500;

/** The most changes that wait to be taken. A watcher that is slower gets the difference in their place. */
const MAX_CHANGES = 8192;

const DONE: IteratorReturnResult<undefined> = { value: undefined, done: true };

/** What is known of a service. */
interface Known {
  readonly pid: number;
  /** The generation of its registration; 0: of a broker that has ended. */
  readonly generation: number;
}

/** The services that are there, as a broker tells of them: makes changes of what it says in any order. */
export class ServiceTable {
  readonly #known = new Map<string, Known>();
  /** The generations that were unregistered before the broker listed them. */
  readonly #gone = new Map<string, number>();
  readonly #tell: (change: ServiceChange) => void;

  /** @param tell receives the changes */
  constructor(tell: (change: ServiceChange) => void) {
    this.#tell = tell;
  }

  /** Takes an event of the broker. */
  event(event: BrokerEvent): void {
    if (event.event === "registered") this.#add(event);
    if (event.event !== "unregistered") return;
    const { name, generation } = event;
    this.#gone.set(name, generation); // until the list comes
    if (this.#known.get(name)?.generation === generation) this.#remove(name);
  }

  /** Takes the broker's list, which may be older than events that came before it. */
  list(services: readonly ListedService[]): void {
    for (const service of services) {
      if (service.generation > (this.#gone.get(service.name) ?? 0)) this.#add(service);
    }
    this.#gone.clear();
  }

  /** An event after the list needs not be remembered. */
  settle(): void {
    this.#gone.clear();
  }

  /** The broker has ended: what it knew is in doubt. */
  doubt(): void {
    for (const [name, { pid }] of this.#known) this.#known.set(name, { pid, generation: 0 });
  }

  /** Removes what is in doubt still. */
  removeDoubtful(): void {
    for (const [name, { generation }] of [...this.#known]) if (generation === 0) this.#remove(name);
  }

  #add({ name, generation, pid }: { name: string; generation: number; pid: number }): void {
    const known = this.#known.get(name);
    if (known !== undefined && known.generation >= generation) return;
    // The same server that has registered again has never gone.
    const isSame = known !== undefined && known.pid === pid;
    if (known !== undefined && !isSame) this.#remove(name);
    this.#known.set(name, { pid, generation });
    if (!isSame) this.#tell({ type: "added", name, pid });
  }

  #remove(name: string): void {
    const { pid } = this.#known.get(name)!;
    this.#known.delete(name);
    this.#tell({ type: "removed", name, pid });
  }
}

/** The services that come and go: what {@linkcode watch} gives. */
export class ServiceChanges implements AsyncIterableIterator<ServiceChange, undefined, void> {
  readonly #service: string;
  readonly #client: BrokerClient;
  readonly #signal: AbortSignal | undefined;
  readonly #stop = new AbortController();
  readonly #table = new ServiceTable((change) => this.#tell(change));
  readonly #changes: ServiceChange[] = [];
  readonly #running: Promise<void>;
  #wake = Promise.withResolvers<void>();
  #ended: { readonly error: unknown; readonly released: Promise<void> } | undefined;

  /** @internal */
  constructor(options: WatchOptions) {
    const { broker = {}, signal } = options;
    this.#service = broker.service ?? DEFAULT_SERVICE;
    this.#client = BrokerClient.acquire(broker);
    this.#signal = signal;
    const abort = (): void => this.#end(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    this.#stop.signal.addEventListener("abort", () => signal?.removeEventListener("abort", abort));
    this.#running = this.#run().catch((error) => this.#end(error));
    if (signal?.aborted === true) abort();
  }

  /** Returns itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /**
   * Waits for the next service that comes or goes.
   *
   * @returns the change; `done` when the iteration was ended
   * @throws {BrokerUnavailableError} if no broker can be reached
   * @throws the signal's reason, when it aborts
   */
  async next(): Promise<IteratorResult<ServiceChange, undefined>> {
    for (;;) {
      const change = this.#signal?.aborted === true ? undefined : this.#changes.shift();
      if (change !== undefined) return { value: change, done: false };
      if (this.#ended !== undefined) {
        await this.#ended.released;
        if (this.#ended.error !== undefined) throw this.#ended.error;
        return DONE;
      }
      await this.#wake.promise;
    }
  }

  /** Ends the iteration; a `next()` that waits is done. Resolves when the broker is released. */
  async return(): Promise<IteratorResult<ServiceChange, undefined>> {
    this.#changes.length = 0;
    this.#end(undefined);
    await this.#ended?.released;
    return DONE;
  }

  #end(error: unknown): void {
    if (this.#ended !== undefined) return;
    this.#stop.abort(new TypeError("Cannot go on watching: the iteration was ended"));
    this.#ended = { error, released: this.#release() };
    this.#ring();
  }

  async #release(): Promise<void> {
    await this.#client.release();
    await this.#running;
  }

  /** Watches one broker after the other. */
  async #run(): Promise<void> {
    const { signal } = this.#stop;
    for (let attempt = 0; !signal.aborted;) {
      try {
        await this.#client.list(signal); // finds a broker, or makes this process the broker
        await this.#watch(signal);
        attempt = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof BrokerUnavailableError) throw error;
        if (error instanceof RefusedError && error.code !== "terminating") {
          throw new BrokerUnavailableError(this.#service, error.message);
        }
        await backOff(attempt++, LONGEST_PAUSE, signal).catch(() => {}); // ended, which the loop finds
      }
    }
  }

  /** Watches a broker until it ends. */
  async #watch(signal: AbortSignal): Promise<void> {
    const ended = Promise.withResolvers<void>();
    let isListed = false;
    const connection = await BrokerConnection.open(this.#service, {
      name: `deno ${Deno.pid}`,
      signal,
      event: (event) => {
        this.#table.event(event);
        if (isListed) this.#table.settle();
      },
      ended: () => ended.resolve(),
    });
    const stop = (): void => ended.resolve();
    signal.addEventListener("abort", stop, { once: true });
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      this.#table.list(await connection.watch({ signal }));
      isListed = true;
      timer = setTimeout(() => this.#table.removeDoubtful(), PATIENCE);
      await ended.promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
      this.#table.doubt();
      await connection.close();
    }
  }

  #tell(change: ServiceChange): void {
    if (this.#ended !== undefined) return;
    const last = this.#changes.findLastIndex(({ name }) => name === change.name);
    // A service that came and went unseen is no news, where news pile up.
    const isUndone = this.#changes.length >= MAX_CHANGES && this.#changes[last]?.type === "added" &&
      change.type === "removed";
    if (isUndone) this.#changes.splice(last, 1);
    else this.#changes.push(change);
    this.#ring();
  }

  #ring(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }
}

/**
 * Watches the services that come and go. Those that are there come first, as `added`. A service whose broker died is
 * not gone: it registers at the next one.
 *
 * @param options the broker to ask, and when to stop
 * @returns the changes
 * @throws {TypeError} if an option is not valid
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { serve, watch } from "@xpc/shmem";
 *
 * await using _server = await serve("com.example.watch", { regions: {} });
 * for await (const { type, name } of watch()) {
 *   if (name !== "com.example.watch") continue;
 *   assert(type === "added");
 *   break;
 * }
 * ```
 */
export function watch(options: WatchOptions = {}): ServiceChanges {
  checkListOptions("watch the services", options);
  return new ServiceChanges(options);
}
