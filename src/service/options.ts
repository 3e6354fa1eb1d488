/**
 * Checks the options of `serve`, `connect`, `join` and `open` before anything is touched.
 *
 * @module
 */
import { checkRegionName, checkRegionOptions } from "../link/served_region.ts";
import { spinOf } from "../sync/waiting.ts";
import { inWords } from "../xpc/in_words.ts";

type Options = { readonly [option: string]: unknown };

/** Checks one option; `undefined` is always valid. */
function check(
  doing: string,
  options: Options,
  option: string,
  isValid: (value: unknown) => boolean,
  want: string,
): void {
  const value = options[option];
  if (value === undefined || isValid(value)) return;
  throw new TypeError(`Cannot ${doing}: \`${option}\` is ${inWords(value)}, but must be ${want}`);
}

function checkObject(doing: string, options: unknown): asserts options is Options {
  if (typeof options === "object" && options !== null && !Array.isArray(options)) return;
  throw new TypeError(`Cannot ${doing}: the options are ${inWords(options)}, but must be an object`);
}

const isBoolean = (value: unknown): boolean => typeof value === "boolean";
const isString = (value: unknown): boolean => typeof value === "string";
const isSignal = (value: unknown): boolean => value instanceof AbortSignal;

function checkCommon(doing: string, options: Options): void {
  check(doing, options, "schema", isString, "a string");
  check(doing, options, "signal", isSignal, "an AbortSignal");
  check(doing, options, "requirement", isString, "a string in Apple's requirement language");
  const { broker } = options;
  if (broker === undefined) return;
  checkObject(`${doing}: \`broker\``, broker);
  check(`${doing}: \`broker\``, broker, "service", isString, "the name of a Mach service");
  check(`${doing}: \`broker\``, broker, "embedded", isBoolean, "true or false");
}

/**
 * Checks the options of `serve` and `join`, the regions among them.
 *
 * @throws {TypeError} or {RangeError} if one is not valid; the message names it
 */
export function checkServeOptions(name: string, options: unknown): void {
  const doing = `serve "${name}"`;
  checkObject(doing, options);
  const { regions } = options;
  if (typeof regions !== "object" || regions === null || Array.isArray(regions)) {
    throw new TypeError(
      `Cannot ${doing}: \`regions\` is ${inWords(regions)}, but must be an object such as ` +
        `{ frame: { byteLength: 1024 } }`,
    );
  }
  const isPolicy = (value: unknown): boolean => value === "reject" || value === "replace";
  check(doing, options, "policy", isPolicy, '"reject" or "replace"');
  check(doing, options, "reconnect", isBoolean, "true or false");
  check(doing, options, "adopt", isBoolean, "true or false");
  checkCommon(doing, options);
  for (const [region, regionOptions] of Object.entries(regions)) {
    checkRegionName(region);
    checkRegionOptions(region, regionOptions);
  }
}

/**
 * Checks the options of `connect`.
 *
 * @throws {TypeError} if one is not valid; the message names it
 */
export function checkConnectOptions(name: string, options: unknown): void {
  const doing = `connect to "${name}"`;
  checkObject(doing, options);
  check(doing, options, "reconnect", isBoolean, "true or false");
  check(doing, options, "wait", isBoolean, "true or false");
  checkCommon(doing, options);
}

/**
 * Checks the name and the options of `open`.
 *
 * @throws {TypeError} if one is not valid; the message names it
 */
export function checkOpenOptions(name: unknown, options: unknown): void {
  checkRegionName(name);
  const doing = `open the region "${name}"`;
  checkObject(doing, options);
  check(doing, options, "write", isBoolean, "true or false");
  check(doing, options, "prefault", isBoolean, "true or false");
  check(doing, options, "signal", isSignal, "an AbortSignal");
}

/**
 * Checks the name and the options of `follow`.
 *
 * @throws {TypeError} or {RangeError} if one is not valid; the message names it
 */
export function checkFollowOptions(name: unknown, options: unknown): void {
  checkRegionName(name);
  const doing = `follow the region "${name}"`;
  checkObject(doing, options);
  check(doing, options, "write", isBoolean, "true or false");
  check(doing, options, "signal", isSignal, "an AbortSignal");
  spinOf(options);
}

/**
 * Checks the options of `join` that are its own.
 *
 * @throws {TypeError} if one is not valid; the message names it
 */
export function checkJoinOptions(name: string, options: unknown): void {
  const doing = `join "${name}"`;
  checkObject(doing, options);
  check(doing, options, "takeOver", isBoolean, "true or false");
  if (options["takeOver"] === true && options["reconnect"] === false) {
    throw new TypeError(
      `Cannot ${doing}: with \`takeOver\` a peer always goes on, so \`reconnect\` cannot be false`,
    );
  }
}
