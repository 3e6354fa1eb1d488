import { BrokerClient } from "../broker/broker_client.ts";
import { hashSchema } from "../link/protocol.ts";
import type { ConnectedClient } from "../exchange/connected_client.ts";
import type { MessageValue } from "../exchange/messages_values.ts";
import { Client, type ConnectOptions } from "./client.ts";
import { prepare, type ServeOptions, type Server } from "./server.ts";

/** Options of {@linkcode join}: what to serve, and how to be a client. */
export interface JoinOptions
  extends Omit<ServeOptions, "policy" | "request">, Omit<ConnectOptions, "schema" | "signal" | "request"> {
  /**
   * Answers requests, on whichever side: of the clients, or of the server, who comes as `undefined`.
   */
  request?:
    | ((
      value: MessageValue,
      client: ConnectedClient | undefined,
    ) => MessageValue | void | Promise<MessageValue | void>)
    | undefined;
}

/**
 * For equal apps: the first one serves, the others connect. The broker decides in one step, so there is
 * exactly one server also where all start at once.
 *
 * @param name the service's name, 1 to 128 characters of `A-Z a-z 0-9 . _ -`
 * @param options the regions, which the server makes
 * @returns a {@linkcode Server} or a {@linkcode Client}: `role` tells which
 * @throws {TypeError} if a name is not valid
 * @throws {IncompatibleError} if the server has another version or schema
 * @throws {BrokerUnavailableError} if no broker can be reached
 * @throws the signal's reason, if it aborts first
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { join } from "@xpc/shmem";
 *
 * const options = { regions: { frame: { byteLength: 4096 } } };
 * await using first = await join("com.example.join", options);
 * await using second = await join("com.example.join", options);
 * assert(first.role === "server" && second.role === "client");
 * ```
 */
export async function join(name: string, options: JoinOptions): Promise<Server | Client> {
  const server = await prepare(name, options);
  try {
    const reply = await server.register("join", options.signal);
    if (reply.registered) return server;
    const broker = BrokerClient.acquire(options.broker);
    const schema = await hashSchema(options.schema);
    const { request, ...others } = options;
    const clientOptions = {
      ...others,
      request: request && ((value: MessageValue) => request(value, undefined)),
    };
    const client = new Client(name, broker, schema, clientOptions, reply);
    await server.close();
    return await client.start();
  } catch (error) {
    await server.close();
    throw error;
  }
}
