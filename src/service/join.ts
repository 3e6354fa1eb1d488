import { aborted } from "../broker/abort.ts";
import { BrokerClient } from "../broker/broker_client.ts";
import { hashSchema } from "../link/protocol.ts";
import type { ConnectedClient } from "../exchange/connected_client.ts";
import type { MessageValue } from "../exchange/messages_values.ts";
import { checkServiceName } from "../xpc/service_name.ts";
import { Client, type ConnectOptions } from "./client.ts";
import { checkJoinOptions, checkServeOptions } from "./options.ts";
import { Peer, type TakeOverOptions } from "./peer.ts";
import { prepare, type ServeOptions, type Server } from "./server.ts";

/** Options of {@linkcode join}: what to serve, and how to be a client. */
export interface JoinOptions
  extends
    Omit<ServeOptions, "policy" | "request">,
    Omit<ConnectOptions, "schema" | "signal" | "request" | "wait"> {
  /**
   * Answers requests, on whichever side: of the clients, or of the server, who comes as `undefined`.
   */
  request?:
    | ((
      value: MessageValue,
      client: ConnectedClient | undefined,
    ) => MessageValue | void | Promise<MessageValue | void>)
    | undefined;
  /**
   * Whether one of the others becomes the server when the server is gone: `join()` then gives a {@linkcode Peer}.
   *
   * @default {false}
   */
  takeOver?: false | undefined;
}

/**
 * For equal apps: the first one serves, the others connect. When the server is gone, whether it died or was closed, one
 * of the others becomes the server, with the content that it had mapped. The broker decides in one step, so there is
 * exactly one server also where all start, or find that the server is gone, at once.
 *
 * @param name the service's name, 1 to 128 characters of `A-Z a-z 0-9 . _ -`
 * @param options the regions, which the server makes
 * @returns a {@linkcode Peer}: `role` tells what it is at the moment
 * @throws {TypeError} if a name is not valid
 * @throws {IncompatibleError} if the server has another version or schema
 * @throws {BrokerUnavailableError} if no broker can be reached
 * @throws the signal's reason, if it aborts first
 */
export function join(name: string, options: TakeOverOptions): Promise<Peer>;
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
export function join(name: string, options: JoinOptions): Promise<Server | Client>;
export async function join(
  name: string,
  options: JoinOptions | TakeOverOptions,
): Promise<Server | Client | Peer> {
  checkJoinOptions(name, options);
  if (options.takeOver !== true) return await joinOnce(name, options);
  checkServiceName(name);
  checkServeOptions(name, options);
  options.signal?.throwIfAborted();
  return await new Peer(name, await hashSchema(options.schema), options).start();
}

async function joinOnce(name: string, options: JoinOptions): Promise<Server | Client> {
  const { signal, adopt = false } = options;
  const server = await prepare(name, options);
  try {
    const reply = await server.register("join", signal);
    if (reply.registered) {
      if (adopt) await aborted(server.adopt(reply, signal), signal);
      return server;
    }
    const broker = BrokerClient.acquire(options.broker);
    const schema = await hashSchema(options.schema);
    const { request, ...others } = options;
    const clientOptions = {
      ...others,
      request: request && ((value: MessageValue) => request(value, undefined)),
    };
    const client = new Client(name, broker, schema, clientOptions, {
      begin: (search, until) => search.from(reply, until),
    });
    await server.close();
    return await client.start();
  } catch (error) {
    await server.close();
    throw error;
  }
}
