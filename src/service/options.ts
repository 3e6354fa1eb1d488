/**
 * Checks the options of `serve`, `connect`, `join` and `open` before anything is touched.
 *
 * @module
 */
import { checkLockName, checkLockSpec } from "../link/lock_spec.ts";
import { checkRegionName, checkRegionOptions } from "../link/served_region.ts";
import { checkChannelOptions } from "../link/channel_options.ts";
import { checkStreamOptions } from "../link/stream_options.ts";
import { isLabel } from "../link/protocol.ts";
import { isLayout } from "../layout/layout.ts";
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
const isFunction = (value: unknown): boolean => typeof value === "function";
const isSignal = (value: unknown): boolean => value instanceof AbortSignal;

function checkCommon(doing: string, options: Options): void {
  check(doing, options, "schema", isString, "a string");
  check(doing, options, "signal", isSignal, "an AbortSignal");
  check(doing, options, "requirement", isString, "a string in Apple's requirement language");
  check(doing, options, "request", isFunction, "a function that answers");
  check(doing, options, "label", isLabel, "a string of 1 to 128 printable characters");
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
  const { regions, streams, channels, locks } = options;
  const isAlone = streams === undefined && channels === undefined && locks === undefined;
  if (regions !== undefined || isAlone) checkTable(doing, "regions", regions);
  if (streams !== undefined) checkTable(doing, "streams", streams);
  if (channels !== undefined) checkTable(doing, "channels", channels);
  if (locks !== undefined) checkTable(doing, "locks", locks);
  const isPolicy = (value: unknown): boolean => value === "reject" || value === "replace";
  check(doing, options, "message", isFunction, "a function that takes messages");
  check(doing, options, "policy", isPolicy, '"reject" or "replace"');
  check(doing, options, "reconnect", isBoolean, "true or false");
  check(doing, options, "adopt", isBoolean, "true or false");
  checkCommon(doing, options);
  for (const [lock, spec] of Object.entries(locks ?? {})) {
    checkLockName(lock);
    checkLockSpec(lock, spec);
  }
  for (const [region, regionOptions] of Object.entries(regions ?? {})) {
    checkRegionName(region);
    checkRegionOptions(region, regionOptions);
  }
  for (const [stream, streamOptions] of Object.entries(streams ?? {})) {
    checkRegionName(stream);
    checkStreamOptions(stream, streamOptions);
  }
  for (const [channel, channelOptions] of Object.entries(channels ?? {})) {
    checkRegionName(channel);
    checkChannelOptions(channel, channelOptions);
  }
}

/** Checks an option that lists what is served, by name. */
function checkTable(
  doing: string,
  option: string,
  table: unknown,
): asserts table is { readonly [name: string]: unknown } {
  if (typeof table === "object" && table !== null && !Array.isArray(table)) return;
  throw new TypeError(
    `Cannot ${doing}: \`${option}\` is ${inWords(table)}, but must be an object such as ` +
      `{ frame: { byteLength: 1024 } }`,
  );
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
 * Checks the name and the options of `stream`.
 *
 * @throws {TypeError} or {RangeError} if one is not valid; the message names it
 */
export function checkStreamOpenOptions(name: unknown, options: unknown): void {
  checkRegionName(name);
  const doing = `open the stream "${name}"`;
  checkObject(doing, options);
  const isOrder = (value: unknown): boolean => value === "newest" || value === "every";
  check(doing, options, "order", isOrder, '"newest" or "every"');
  check(doing, options, "signal", isSignal, "an AbortSignal");
}

/**
 * Checks the name and the options of `channel`.
 *
 * @throws {TypeError} if one is not valid; the message names it
 */
export function checkChannelOpenOptions(name: unknown, options: unknown): void {
  checkRegionName(name);
  const doing = `open the channel "${name}"`;
  checkObject(doing, options);
  check(doing, options, "signal", isSignal, "an AbortSignal");
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
  check(doing, options, "layout", isLayout, "a layout that layout() made");
  check(doing, options, "signal", isSignal, "an AbortSignal");
}

/**
 * Checks the options of `list`, `watch` and `exists`.
 *
 * @throws {TypeError} if one is not valid; the message names it
 */
export function checkListOptions(doing: string, options: unknown): void {
  checkObject(doing, options);
  checkCommon(doing, options);
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
