import { Endpoint } from "../xpc/endpoint.ts";
import type { XpcRecord, XpcValue } from "../xpc/mod.ts";
import { checkServiceName } from "../xpc/service_name.ts";

/** The highest process id of either system. */
const MAX_PID = 2 ** 31 - 1;

/**
 * Reads the fields of a message of the protocol. Each field is checked before it is converted: a peer may send a value
 * of any type.
 */
export class Fields {
  readonly #record: XpcRecord;
  readonly #fail: (key: string) => Error;

  /**
   * @param record the message, as it was decoded
   * @param fail makes the error for a field that is missing, has another type, or is out of range
   */
  constructor(record: XpcRecord, fail: (key: string) => Error) {
    this.#record = record;
    this.#fail = fail;
  }

  /** A string. */
  text(key: string): string {
    const value = this.#record[key];
    if (typeof value !== "string") throw this.#fail(key);
    return value;
  }

  /** A string that may be missing. */
  optionalText(key: string): string | undefined {
    return this.#record[key] === undefined ? undefined : this.text(key);
  }

  /** The name of a service. */
  name(key: string): string {
    const name = this.text(key);
    try {
      checkServiceName(name);
    } catch {
      throw this.#fail(key);
    }
    return name;
  }

  /** An integer from 0 to 2^64 - 1 of either XPC type, or `otherwise` if it is missing. */
  integer(key: string, otherwise?: bigint): bigint {
    const value: XpcValue | undefined = this.#record[key];
    if (value === undefined && otherwise !== undefined) return otherwise;
    if (typeof value !== "bigint" || value < 0n) throw this.#fail(key);
    return value;
  }

  /** An integer from 0 to `max`, or `otherwise` if it is missing. */
  count(key: string, otherwise?: number, max = Number.MAX_SAFE_INTEGER): number {
    if (this.#record[key] === undefined && otherwise !== undefined) return otherwise;
    const value = this.integer(key);
    if (value > BigInt(max)) throw this.#fail(key);
    return Number(value);
  }

  /** A process id. */
  pid(key: string): number {
    return this.count(key, undefined, MAX_PID);
  }

  /** A boolean, or `otherwise` if it is missing. */
  flag(key: string, otherwise?: boolean): boolean {
    const value = this.#record[key];
    if (value === undefined && otherwise !== undefined) return otherwise;
    if (typeof value !== "boolean") throw this.#fail(key);
    return value;
  }

  /** A date. */
  date(key: string): Date {
    const value = this.#record[key];
    if (!(value instanceof Date) || Number.isNaN(value.getTime())) throw this.#fail(key);
    return value;
  }

  /** An endpoint. It stays part of the message, which disposes it unless somebody takes it out. */
  endpoint(key: string): Endpoint {
    const value = this.#record[key];
    if (!(value instanceof Endpoint)) throw this.#fail(key);
    return value;
  }

  /** An array of dictionaries: the fields of each. */
  records(key: string): Fields[] {
    const value = this.#record[key];
    if (!Array.isArray(value)) throw this.#fail(key);
    return value.map((item: XpcValue) => {
      if (!isRecord(item)) throw this.#fail(key);
      return new Fields(item, this.#fail);
    });
  }
}

/** Whether a value was decoded from a dictionary: these have no prototype, unlike all other objects in a message. */
function isRecord(value: XpcValue): value is XpcRecord {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === null;
}
