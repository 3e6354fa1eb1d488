import { type RegionDescription, regionsIn } from "../link/description.ts";
import type { Endpoint } from "../xpc/endpoint.ts";
import { Connection } from "../xpc/mod.ts";

export type { RegionDescription } from "../link/description.ts";

/**
 * Asks the server behind an endpoint for its regions, without becoming its client.
 *
 * @param endpoint of the server
 * @param timeout how long to wait, in milliseconds
 * @returns the regions
 */
export async function describe(endpoint: Endpoint, timeout: number): Promise<RegionDescription[]> {
  await using connection = await Connection.toEndpoint(endpoint);
  return regionsIn(await connection.request({ op: "describe" }, { timeout }));
}
