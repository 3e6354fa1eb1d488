/**
 * A program that leaves a worker's thread, for the check of leaks: it prints what the check says. A process of its own,
 * since threads of other tests may end at the same time.
 *
 * @module
 */
import { leakCheck } from "../../src/testing/mod.ts";

const leaks = await leakCheck({ timeout: 50 });
const worker = new Worker("data:text/javascript,postMessage('there')", { type: "module" });
await new Promise((resolve) => worker.onmessage = resolve);
try {
  await leaks.verify();
} catch (error) {
  console.log((error as Error).message);
}
worker.terminate();
