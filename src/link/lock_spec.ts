import { isLabel } from "./protocol.ts";
import { inWords } from "../xpc/in_words.ts";
import { MAXIMUM_HOLDERS } from "./layout.ts";

/** A semaphore of a service. */
export interface SemaphoreSpec {
  /** How many may hold a unit at a time, 1 to 1024. */
  semaphore: number;
}

/** An event of a service. */
export interface EventSpec {
  /** `"manual"`: it stays set until it is reset. `"auto"`: each time it is set, it lets one waiter through. */
  event: "manual" | "auto";
  /**
   * Whether it is set from the beginning.
   *
   * @default {false}
   */
  set?: boolean | undefined;
}

/** A lock of a service: of which kind it is. */
export type LockSpec = "mutex" | "rwlock" | SemaphoreSpec | EventSpec;

/** The kinds of locks, as they travel. */
export type LockKind = "mutex" | "rwlock" | "semaphore" | "manual" | "auto";

const KINDS: readonly string[] = ["mutex", "rwlock", "semaphore", "manual", "auto"] satisfies LockKind[];

/** Whether a text of a peer names a kind. */
export function isLockKind(value: unknown): value is LockKind {
  return typeof value === "string" && KINDS.includes(value);
}

/** The kind of a lock. */
export function kindOf(spec: LockSpec): LockKind {
  if (typeof spec === "string") return spec;
  return "semaphore" in spec ? "semaphore" : spec.event;
}

/**
 * Checks the name of a lock.
 *
 * @throws {TypeError} if it is not a string of 1 to 128 printable characters that survives a trip through UTF-8
 */
export function checkLockName(name: unknown): asserts name is string {
  if (isLabel(name)) return;
  throw new TypeError(
    `Cannot use the lock name ${inWords(name)}: a lock name is a string of 1 to 128 printable characters`,
  );
}

/**
 * Checks what a lock is to be.
 *
 * @throws {TypeError} or {RangeError} if it is no kind of lock; the message says what is
 */
export function checkLockSpec(name: string, spec: unknown): asserts spec is LockSpec {
  if (spec === "mutex" || spec === "rwlock") return;
  if (typeof spec === "object" && spec !== null) {
    const { semaphore, event, set } = spec as { [option: string]: unknown };
    if (typeof semaphore === "number" && event === undefined) {
      if (Number.isInteger(semaphore) && semaphore >= 1 && semaphore <= MAXIMUM_HOLDERS) return;
      throw new RangeError(
        `Cannot make the lock "${name}": \`semaphore\` is ${semaphore}, but must be an integer from 1 to ` +
          `${MAXIMUM_HOLDERS}`,
      );
    }
    if ((event === "manual" || event === "auto") && semaphore === undefined) {
      if (set === undefined || typeof set === "boolean") return;
      throw new TypeError(
        `Cannot make the lock "${name}": \`set\` is ${inWords(set)}, but must be true or false`,
      );
    }
  }
  throw new TypeError(
    `Cannot make the lock "${name}" from ${inWords(spec)}: it is "mutex", "rwlock", { semaphore: 4 }, ` +
      `{ event: "manual" } or { event: "auto" }`,
  );
}
