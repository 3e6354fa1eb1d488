import type { ErrorCode } from "../../../src/broker/protocol.ts";
import { Int64, type XpcRecord, type XpcValue } from "../../../src/xpc/mod.ts";

/** A request that fails, and how. `"endpoint"` as a value of `endpoint` stands for a real one. */
export interface BadRequest {
  readonly request: XpcRecord;
  readonly code: ErrorCode;
  readonly field?: string;
}

const GENERATION_LIMIT = 2n ** 53n;

function bad(field: string, request: XpcRecord): BadRequest {
  return { request, code: "bad_request", field };
}

/** The same request with each of these values in one field. */
function badValues(field: string, request: XpcRecord, values: readonly XpcValue[]): BadRequest[] {
  return values.map((value) => bad(field, { ...request, [field]: value }));
}

const NO_STRINGS: XpcValue[] = [
  null,
  true,
  1n,
  new Int64(1n),
  1.5,
  new Date(0),
  new Uint8Array([97]),
  ["a"],
  { a: "a" },
];
const NO_NAMES: XpcValue[] = [
  ...NO_STRINGS,
  "",
  " ",
  "a b",
  "a/b",
  "a\n",
  "é",
  "\u212a", // the sign of Kelvin, equal to K only for Unicode
  "a".repeat(129),
  "a".repeat(5000),
];
const NO_INTEGERS: XpcValue[] = [null, true, "1", 1, new Int64(-1n), new Date(1), [1n], {}];
const NO_GENERATIONS: XpcValue[] = [
  ...NO_INTEGERS,
  GENERATION_LIMIT,
  2n ** 64n - 1n,
  new Int64(GENERATION_LIMIT),
];
const NO_FLAGS: XpcValue[] = [null, 1n, 0, "true", new Int64(0n), []];

const REGISTER = { op: "register", name: "bad.one", endpoint: "endpoint", policy: "reject" };
const LOOKUP = { op: "lookup", name: "bad.one" };
const UNREGISTER = { op: "unregister", name: "bad.one" };

/** Everything that a peer which said hello can get wrong, the first offending field named. */
export const BAD_REQUESTS: readonly BadRequest[] = [
  bad("op", {}),
  bad("op", { name: 1n, min: "x" }),
  ...badValues("op", {}, NO_STRINGS),
  ...["", "Hello", "hello ", "toString", "__proto__", "constructor", "x".repeat(1000)].map((op) => {
    return { request: { op }, code: "unknown_op" } as const;
  }),

  bad("min", { op: "hello" }),
  bad("min", { op: "hello", max: 1n }),
  bad("min", { op: "hello", max: "x", name: 1n }),
  ...badValues("min", { op: "hello", max: 1n }, NO_INTEGERS),
  bad("max", { op: "hello", min: 1n }),
  bad("max", { op: "hello", min: 9n, max: "x" }),
  ...badValues("max", { op: "hello", min: 1n, name: 1n }, NO_INTEGERS),
  bad("min", { op: "hello", min: 2n, max: 1n }),
  bad("min", { op: "hello", min: 2n, max: 1n, name: 1n }),
  ...badValues("name", { op: "hello", min: 1n, max: 1n }, NO_STRINGS),
  bad("name", { op: "hello", min: 2n, max: 2n, name: 1n }),

  bad("name", { op: "register" }),
  bad("name", { op: "register", endpoint: 1n, policy: 1n, after: "x" }),
  ...badValues("name", REGISTER, NO_NAMES),
  bad("endpoint", { op: "register", name: "bad.one" }),
  bad("endpoint", { op: "register", name: "bad.one", policy: 1n, after: "x" }),
  ...badValues("endpoint", REGISTER, [...NO_STRINGS, "text"]),
  bad("policy", { op: "register", name: "bad.one", endpoint: "endpoint" }),
  bad("policy", { op: "register", name: "bad.one", endpoint: "endpoint", after: "x" }),
  ...badValues("policy", { ...REGISTER, after: "x" }, [...NO_STRINGS, "", "Join", "take", "join "]),
  ...badValues("after", REGISTER, NO_GENERATIONS),

  bad("name", { op: "lookup" }),
  bad("name", { op: "lookup", after: "x", wait: 1n, id: "x" }),
  ...badValues("name", LOOKUP, NO_NAMES),
  ...badValues("after", { ...LOOKUP, wait: 1n }, NO_GENERATIONS),
  ...badValues("wait", { ...LOOKUP, id: "x" }, NO_FLAGS),
  ...badValues("id", LOOKUP, NO_INTEGERS),

  bad("id", { op: "cancel" }),
  ...badValues("id", { op: "cancel" }, NO_INTEGERS),

  bad("name", { op: "unregister" }),
  bad("name", { op: "unregister", generation: "x" }),
  ...badValues("name", { ...UNREGISTER, generation: 1n }, NO_NAMES),
  bad("generation", UNREGISTER),
  ...badValues("generation", UNREGISTER, NO_GENERATIONS),
];
