/**
 * What an app does until it sees the first byte of a region, in a process of its own. Args: service, broker, region.
 *
 * @module
 */
import { connect } from "../mod.ts";

const [name = "", service, region = ""] = Deno.args;
const client = await connect(name, { broker: { service } });
const opened = await client.open(region);
if (opened.view(Uint8Array).at(-1) !== 0) throw new Error("Cannot see the region");
Deno.exit(0);
