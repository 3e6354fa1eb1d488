/**
 * A broker in a process of its own: `broker.ts --service NAME`, as the launch agent takes it.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { Broker } from "../../src/broker/broker.ts";

const { service } = parseArgs(Deno.args, { string: ["service"] });
await using broker = await Broker.start({ service });
// Ends when the demo ends, also when it is killed.
const orphaned = Deno.stdin.readable.pipeTo(new WritableStream());
await Promise.race([broker.closed, orphaned]);
