import type { LinkedLock } from "../link/linked_lock.ts";
import type { LockKind } from "../link/lock_spec.ts";
import { inWords } from "../xpc/in_words.ts";
import { AutoResetEvent, ManualResetEvent } from "./events.ts";
import { MutexLock } from "./mutex_lock.ts";
import { RwLock } from "./rw_lock.ts";
import { Semaphore } from "./semaphore.ts";

/** The class of each kind of lock. */
export interface LockKinds {
  /** One holder at a time. */
  mutex: MutexLock;
  /** Many readers, or one writer. */
  rwlock: RwLock;
  /** So many holders at a time. */
  semaphore: Semaphore;
  /** Stays set until it is reset. */
  manual: ManualResetEvent;
  /** Lets one waiter through each time it is set. */
  auto: AutoResetEvent;
}

/** A lock of any kind; its `kind` tells which. */
export type AnyLock = LockKinds[LockKind];

/** Makes what users hold. */
export function wrapLock(linked: LinkedLock): AnyLock {
  switch (linked.kind) {
    case "mutex":
      return new MutexLock(linked);
    case "rwlock":
      return new RwLock(linked);
    case "semaphore":
      return new Semaphore(linked);
    case "manual":
      return new ManualResetEvent(linked);
    case "auto":
      return new AutoResetEvent(linked);
  }
}

/**
 * Checks that a lock is of the kind that the caller expects.
 *
 * @throws {TypeError} if it is of another kind
 */
export function checkKind(name: string, actual: LockKind, expected: LockKind | undefined): void {
  if (expected === undefined || expected === actual) return;
  throw new TypeError(
    `Cannot use the lock "${name}" as ${inWords(expected)}: its server has made it ${inWords(actual)}`,
  );
}
