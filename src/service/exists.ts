import { RefusedError } from "../broker/replies.ts";
import { checkServiceName } from "../xpc/service_name.ts";
import type { ListOptions } from "./list.ts";
import { checkListOptions } from "./options.ts";
import { askPresentBroker } from "./present_broker.ts";

/**
 * Tells whether somebody serves a name now. That may change at any time: to use the service, connect to it.
 *
 * @param name the service's name, 1 to 128 characters of `A-Z a-z 0-9 . _ -`
 * @param options the broker to ask, and when to give up
 * @returns whether it is served; `false` also where there is no broker
 * @throws {TypeError} if the name is not valid
 * @throws {BrokerUnavailableError} if the broker does not answer, or is one of another user or version
 * @throws the signal's reason, if it aborts first
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { exists, serve } from "@xpc/shmem";
 *
 * assert(!await exists("com.example.exists"));
 * await using _server = await serve("com.example.exists", { regions: {} });
 * assert(await exists("com.example.exists"));
 * ```
 */
export async function exists(name: string, options: ListOptions = {}): Promise<boolean> {
  checkServiceName(name);
  checkListOptions(`look for "${name}"`, options);
  const { broker, signal } = options;
  const found = await askPresentBroker(broker, signal, async (broker, signal) => {
    try {
      using _endpoint = (await broker.lookup({ name }, { signal })).endpoint;
      return true;
    } catch (error) {
      if (error instanceof RefusedError && error.code === "not_found") return false;
      throw error;
    }
  });
  return found ?? false;
}
