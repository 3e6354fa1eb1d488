/**
 * Checks the options of `serve`, `connect`, `join` and `open` before anything is touched.
 *
 * @module
 */
import { checkLockName, checkLockSpec } from "../link/lock_spec.ts";
import { checkRegionName, checkRegionOptions } from "../link/served_region.ts";
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
 * Checks the name and the options of `lock`.
 *
 * @throws {TypeError} if one is not valid; the message names it
 */
export function checkLockOptions(name: unknown, options: unknown): void {
  checkLockName(name);
  const doing = `open the lock "${name}"`;
  checkObject(doing, options);
  check(doing, options, "signal", isSignal, "an AbortSignal");
}

/**
 * Checks the options of `serve` and `join`, the regions among them.
 *
 * @throws {TypeError} or {RangeError} if one is not valid; the message names it
 */
export function checkServeOptions(name: string, options: unknown): void {
  const doing = `serve "${name}"`;
  checkObject(doing, options);
  const { regions = options["locks"] === undefined ? undefined : {}, locks = {} } = options;
  if (typeof regions !== "object" || regions === null || Array.isArray(regions)) {
    throw new TypeError(
      `Cannot ${doing}: \`regions\` is ${inWords(regions)}, but must be an object such as ` +
        `{ frame: { byteLength: 1024 } }`,
    );
  }
  const isPolicy = (value: unknown): boolean => value === "reject" || value === "replace";
  check(doing, options, "policy", isPolicy, '"reject" or "replace"');
  check(doing, options, "reconnect", isBoolean, "true or false");
  checkCommon(doing, options);
  checkObject(`${doing}: \`locks\``, locks);
  for (const [lock, spec] of Object.entries(locks)) {
    checkLockName(lock);
    checkLockSpec(lock, spec);
  }
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
