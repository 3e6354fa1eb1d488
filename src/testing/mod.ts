/**
 * Help for the tests of programs that share memory: a name and a runtime directory of a test's own, faults between
 * a client and its server, and a check for leaks.
 *
 * Importing this module opens the native library, which stays open: inside a test, Deno's resource sanitizer would
 * take it for a leak.
 *
 * @example A test of one's own server and client
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { connect, serve } from "@xpc/shmem";
 * import { leakCheck, testSandbox } from "@xpc/shmem/testing";
 *
 * Deno.test("the client sees what the server wrote", async () => {
 *   await using _leaks = await leakCheck();
 *   await using sandbox = await testSandbox();
 *   const { name, broker } = sandbox;
 *   await using server = await serve(name, { broker, regions: { frame: { byteLength: 4096 } } });
 *   server.region("frame").view(Uint8Array)[0] = 1;
 *   await using client = await connect(name, { broker });
 *   assertEquals((await client.open("frame")).view(Uint8Array)[0], 1);
 * });
 * ```
 *
 * @module
 */
export type { BrokerSelection } from "../broker/broker_client.ts";
export { FaultProxy, type FaultProxyOptions } from "./fault_proxy.ts";
export { at, type FaultAction, type FaultPlan, type FaultStep, type PassingMessage } from "./faults.ts";
export {
  type LeakCheck,
  leakCheck,
  type LeakCheckOptions,
  LeakError,
  type ProcessResources,
  processResources,
} from "./leak_check.ts";
export { type TestSandbox, testSandbox, type TestSandboxOptions } from "./sandbox.ts";
