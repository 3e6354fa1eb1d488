import { Mapping } from "../memory/mapping.ts";
import type { XpcRecord } from "../xpc/mod.ts";
import type { IndexTable } from "./index_table.ts";
import { LOCK_MEMORY_BYTES } from "./layout.ts";
import type { LinkEnd } from "./link_end.ts";
import { LinkedLock } from "./linked_lock.ts";
import { checkLockName, checkLockSpec, kindOf, type LockSpec } from "./lock_spec.ts";
import type { HostPart, Operation } from "./operations.ts";
import { NamedTable } from "./named_table.ts";

/** The locks of a server, by name. */
export class LockTable implements HostPart {
  readonly #end: LinkEnd;
  readonly #indexes: IndexTable;
  readonly #locks = new NamedTable<LinkedLock>("lock");
  /** What is being made, by name. */
  readonly #making = new Map<string, Promise<unknown>>();
  #closed = false;

  /**
   * @param end the server's end, where the words are
   * @param indexes the numbers of all that the server shares
   */
  constructor(end: LinkEnd, indexes: IndexTable) {
    this.#end = end;
    this.#indexes = indexes;
  }

  /** `lock` gives a lock to a client. */
  readonly operations: Readonly<Record<string, Operation>> = {
    lock: (_, { values: { name } }) => {
      const lock = this.#locks.asked(name);
      const facts = { index: BigInt(lock.index), kind: lock.kind, limit: BigInt(lock.limit) };
      return lock.mapping === undefined ? facts : { ...facts, memory: lock.mapping.share() };
    },
  };

  /** Lists the locks. */
  describe(): XpcRecord {
    return {
      locks: [...this.#locks.values()].map(({ name, kind, limit }) => ({ name, kind, limit: BigInt(limit) })),
    };
  }

  /** What a client held is released by XPC's thread. */
  forget(): void {}

  /** The names. */
  get names(): string[] {
    return this.#locks.names;
  }

  /**
   * Adds a lock.
   *
   * @throws {TypeError} if there is a lock of that name, it is no kind of lock, or the server is closed
   * @throws {RangeError} if a semaphore is too large, or the service shares 256 things already
   */
  async add(name: string, spec: LockSpec): Promise<LinkedLock> {
    checkLockName(name);
    checkLockSpec(name, spec);
    this.#checkOpen(name);
    if (this.#locks.has(name) || this.#making.has(name)) {
      throw new TypeError(`Cannot add the lock "${name}": there is one of that name`);
    }
    const making = this.#indexes.use(`the lock "${name}"`, (index) => this.#make(name, spec, index));
    this.#making.set(name, making);
    try {
      return await making;
    } finally {
      this.#making.delete(name);
    }
  }

  async #make(name: string, spec: LockSpec, index: number): Promise<LinkedLock> {
    const kind = kindOf(spec);
    const limit = typeof spec === "object" && "semaphore" in spec ? spec.semaphore : 0;
    const mapping = kind === "mutex" ? undefined : await Mapping.create(LOCK_MEMORY_BYTES, { name });
    try {
      this.#checkOpen(name);
      const lock = new LinkedLock(this.#end, { name, index, kind, limit }, mapping, () => {});
      if (typeof spec === "object" && "event" in spec && spec.set === true) lock.native?.set();
      this.#locks.set(name, lock);
      return lock;
    } catch (error) {
      mapping?.close();
      throw error;
    }
  }

  /**
   * A lock.
   *
   * @throws {Deno.errors.NotFound} if there is no lock of that name; the message lists the names
   */
  get(name: string): LinkedLock {
    return this.#locks.find(name);
  }

  /** Closes all locks. What is being made fails. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#making.values());
    await Promise.all([...this.#locks.values()].map((lock) => lock.close()));
  }

  #checkOpen(name: string): void {
    if (this.#closed) throw new TypeError(`Cannot add the lock "${name}": the server is closed`);
  }
}
