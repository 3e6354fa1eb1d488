/**
 * The broker of the cast, where it has a process of its own: the embedded one, until its input is closed.
 *
 * @module
 */
import { Broker } from "../../../src/broker/broker.ts";
import { answer } from "../../support/calls.ts";
import { broker, COMMON } from "./common.ts";

const running = await Broker.start({ service: broker.service });
await answer({ ...COMMON, ready: () => Deno.pid });
await running.close();
