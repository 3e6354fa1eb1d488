/**
 * What a broker answers and reports, with every field checked.
 *
 * @module
 */
import type { Endpoint } from "../xpc/endpoint.ts";
import { disposeValue, type XpcRecord } from "../xpc/mod.ts";
import { Fields } from "./fields.ts";

/** The reply to `hello`. */
export interface BrokerIdentity {
  /** The version of the protocol to speak. */
  readonly version: number;
  /** The implementation: `embedded` or `swift`. */
  readonly broker: string;
  /** The release of its package. */
  readonly release: string;
  /** Its process. */
  readonly pid: number;
  /** The name of its Mach service. */
  readonly service: string;
}

/** The reply to `status`. */
export interface BrokerReport extends BrokerIdentity {
  /** How long it has run, in milliseconds. */
  readonly uptime: number;
  /** How many peers are connected. */
  readonly peers: number;
  /** How many names are registered. */
  readonly services: number;
  /** How many lookups wait. */
  readonly waiting: number;
  /** How many peers watch. */
  readonly watchers: number;
}

/** The reply to `lookup`. */
export interface FoundService {
  /** The generation of the registration. */
  readonly generation: number;
  /** The way to the server; the caller disposes it. */
  readonly endpoint: Endpoint;
  /** The server's process. */
  readonly pid: number;
}

/** The reply to `register`. */
export type RegisterReply =
  | {
    readonly registered: true;
    readonly generation: number;
    readonly pid: number;
    /** How many lookups waited for the name, and have found it now. */
    readonly waiting: number;
  }
  | { readonly registered: false } & FoundService;

/** A service in the reply to `list` or `watch`. */
export interface ListedService {
  /** Its name. */
  readonly name: string;
  /** The generation of its registration. */
  readonly generation: number;
  /** The server's process. */
  readonly pid: number;
  /** When it was registered. */
  readonly since: Date;
}

/** An event of a broker. */
export type BrokerEvent =
  | {
    readonly event: "registered" | "unregistered";
    readonly name: string;
    readonly generation: number;
    readonly pid: number;
  }
  | {
    readonly event: "replaced";
    readonly name: string;
    /** The generation that was replaced. */
    readonly generation: number;
    /** The new generation. */
    readonly by: number;
    /** The process of the new server. */
    readonly pid: number;
  }
  | { readonly event: "terminating" };

/** Thrown when a broker refuses a request. */
export class RefusedError extends Error {
  /** The code of the protocol's error, also one that this version does not know. */
  readonly code: string;
  /** Who holds the name, for `name_taken`. */
  readonly holder: number | undefined;

  /**
   * @param message the broker's message
   * @param code the code
   * @param holder who holds the name
   */
  constructor(message: string, code: string, holder?: number) {
    super(message);
    this.name = "RefusedError";
    this.code = code;
    this.holder = holder;
  }
}

/** Thrown when a broker's reply does not follow the protocol. */
export class InvalidReplyError extends Error {
  /**
   * @param op the operation
   * @param field the field that is not valid
   */
  constructor(op: string, field: string) {
    super(`its reply to "${op}" is not valid: "${field}" is missing, of another type or out of range`);
    this.name = "InvalidReplyError";
  }
}

/**
 * Reads a reply, and disposes what `read` did not return.
 *
 * @param op the operation
 * @param reply the reply as it was decoded
 * @param read reads the fields of a reply with `ok: true`
 * @returns what `read` returns
 * @throws {RefusedError} if the broker refused the request
 * @throws {InvalidReplyError} if a field is not valid
 */
export function readReply<T>(op: string, reply: XpcRecord, read: (fields: Fields) => T): T {
  const fields = new Fields(reply, (key) => new InvalidReplyError(op, key));
  let result: T;
  try {
    if (!fields.flag("ok")) {
      const code = fields.text("code");
      throw new RefusedError(
        fields.text("message"),
        code,
        code === "name_taken" ? fields.pid("pid") : undefined,
      );
    }
    result = read(fields);
  } catch (error) {
    disposeValue(reply);
    throw error;
  }
  // An endpoint that `read` returned belongs to the caller now.
  const { endpoint: _, ...others } = reply;
  const keeps = typeof result === "object" && result !== null && "endpoint" in result;
  if (keeps) Object.values(others).forEach(disposeValue);
  else disposeValue(reply);
  return result;
}

/** Reads the reply to `hello`. */
export function readIdentity(fields: Fields): BrokerIdentity {
  return {
    version: fields.count("version"),
    broker: fields.text("broker"),
    release: fields.text("release"),
    pid: fields.pid("pid"),
    service: fields.text("service"),
  };
}

/** Reads the reply to `status`. */
export function readReport(fields: Fields): BrokerReport {
  return {
    ...readIdentity(fields),
    uptime: fields.count("uptime"),
    peers: fields.count("peers"),
    services: fields.count("services"),
    waiting: fields.count("waiting"),
    watchers: fields.count("watchers"),
  };
}

/** Reads the reply to `lookup`. */
export function readFound(fields: Fields): FoundService {
  return {
    generation: fields.count("generation"),
    pid: fields.pid("pid"),
    endpoint: fields.endpoint("endpoint"),
  };
}

/** Reads the reply to `register`. */
export function readRegistered(fields: Fields): RegisterReply {
  if (!fields.flag("registered")) return { registered: false, ...readFound(fields) };
  return {
    registered: true,
    generation: fields.count("generation"),
    pid: fields.pid("pid"),
    waiting: fields.count("waiting", 0),
  };
}

/** Reads the reply to `list` or `watch`. */
export function readServices(fields: Fields): ListedService[] {
  return fields.records("services").map((service) => ({
    name: service.name("name"),
    generation: service.count("generation"),
    pid: service.pid("pid"),
    since: service.date("since"),
  }));
}

/**
 * Reads an event.
 *
 * @param values the message as it was decoded
 * @returns the event, or `undefined` for one that this version does not know or that is not valid
 */
export function readEvent(values: XpcRecord): BrokerEvent | undefined {
  const fields = new Fields(values, (key) => new InvalidReplyError("event", key));
  try {
    const event = fields.text("event");
    switch (event) {
      case "terminating":
        return { event };
      case "registered":
      case "unregistered":
        return { event, ...readSubject(fields) };
      case "replaced":
        return { event, ...readSubject(fields), by: fields.count("by") };
      default:
        return undefined;
    }
  } catch (error) {
    if (error instanceof InvalidReplyError) return undefined;
    throw error;
  }
}

function readSubject(fields: Fields): { name: string; generation: number; pid: number } {
  return { name: fields.name("name"), generation: fields.count("generation"), pid: fields.pid("pid") };
}
