import { inWords } from "./in_words.ts";

/**
 * Checks the name of a service.
 *
 * @throws {TypeError} if it is not 1 to 128 characters of `A-Z a-z 0-9 . _ -`
 */
export function checkServiceName(name: unknown): asserts name is string {
  if (typeof name === "string" && /^[A-Za-z0-9._-]{1,128}$/.test(name)) return;
  throw new TypeError(
    `Cannot use ${inWords(name)} as the name of a service: want 1 to 128 characters of A-Z a-z 0-9 . _ -`,
  );
}
