/** Types for what we use of Deno's standard library, whose npm package ships none. */
declare module "@std/assert" {
  export class AssertionError extends Error {}
  export function assert(value: unknown, message?: string): asserts value;
  export function assertEquals<T>(actual: T, expected: T, message?: string): void;
  export function assertNotEquals<T>(actual: T, expected: T, message?: string): void;
  export function assertStrictEquals<T>(actual: unknown, expected: T, message?: string): asserts actual is T;
  export function assertExists<T>(actual: T, message?: string): asserts actual is NonNullable<T>;
  export function assertGreater<T>(actual: T, expected: T, message?: string): void;
  export function assertGreaterOrEqual<T>(actual: T, expected: T, message?: string): void;
  export function assertLess<T>(actual: T, expected: T, message?: string): void;
  export function assertLessOrEqual<T>(actual: T, expected: T, message?: string): void;
  export function assertMatch(actual: string, expected: RegExp, message?: string): void;
  export function assertStringIncludes(actual: string, expected: string, message?: string): void;
  export function assertInstanceOf<T>(
    actual: unknown,
    // deno-lint-ignore no-explicit-any -- any constructor, whatever it takes
    expected: abstract new (...args: any[]) => T,
    message?: string,
  ): asserts actual is T;
  export function assertThrows<E extends Error = Error>(
    run: () => unknown,
    // deno-lint-ignore no-explicit-any -- any constructor, whatever it takes
    type?: new (...args: any[]) => E,
    includes?: string,
    message?: string,
  ): E;
  export function assertRejects<E extends Error = Error>(
    run: () => PromiseLike<unknown>,
    // deno-lint-ignore no-explicit-any -- any constructor, whatever it takes
    type?: new (...args: any[]) => E,
    includes?: string,
    message?: string,
  ): Promise<E>;
  export function fail(message?: string): never;
}
declare module "@std/async/delay" {
  export function delay(
    milliseconds: number,
    options?: { signal?: AbortSignal; persistent?: boolean },
  ): Promise<void>;
}
declare module "@std/async/pool" {
  /** Runs at most `limit` calls at once; yields what they resolve to, in the order of the items. */
  export function pooledMap<T, R>(
    limit: number,
    items: Iterable<T>,
    run: (item: T) => Promise<R>,
  ): AsyncIterableIterator<R>;
}
declare module "@std/fmt/bytes" {
  export function format(bytes: number, options?: { binary?: boolean }): string;
}
declare module "@std/fmt/colors" {
  export function bold(text: string): string;
  export function dim(text: string): string;
  export function green(text: string): string;
  export function red(text: string): string;
  export function yellow(text: string): string;
}
declare module "@std/path/posix" {
  export function dirname(path: string): string;
  export function fromFileUrl(url: string | URL): string;
  export function join(path: string, ...paths: string[]): string;
  export function normalize(path: string): string;
}
declare module "@std/streams/text-line-stream" {
  /** Text to lines; what comes after the last line break is a line too, unless it is empty. */
  export class TextLineStream extends TransformStream<string, string> {}
}
