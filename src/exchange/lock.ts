import type { LinkedLock } from "../link/linked_lock.ts";

/**
 * What all locks of a service have in common. Each kind is a class of its own: {@linkcode MutexLock},
 * {@linkcode RwLock}, {@linkcode Semaphore}, {@linkcode ManualResetEvent}, {@linkcode AutoResetEvent}.
 */
export abstract class Lock implements AsyncDisposable {
  /** The name. */
  readonly name: string;
  /** @internal */
  protected readonly linked: LinkedLock;

  /** @internal */
  constructor(linked: LinkedLock) {
    this.name = linked.name;
    this.linked = linked;
  }

  /** Whether its server is gone. Then the lock is of no use any more: open it again at the next server. */
  get orphaned(): boolean {
    return this.linked.orphaned;
  }

  /** Resolves when the lock is closed (with `undefined`) or its server is gone (with an error). */
  get closed(): Promise<Error | undefined> {
    return this.linked.closed;
  }

  /** Ends all waits with a `TypeError`, and gives back what this object holds. Idempotent. */
  close(): Promise<void> {
    return this.linked.close();
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
