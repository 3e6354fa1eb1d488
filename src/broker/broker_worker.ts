/**
 * Runs a broker in a worker, so that it answers while the app that started it is busy. `embedded_broker.ts` starts
 * this module as a worker; imported elsewhere it does nothing.
 *
 * @module
 */
import { Broker } from "./broker.ts";

/** What the app tells the worker. */
export type WorkerCommand = { readonly start: string } | { readonly close: true };

/** What the worker tells the app. `closed` comes last. */
export type WorkerReport = { readonly started: true } | { readonly closed: string };

/** The worker's side of the channel; the types of a page, which this package is checked with, do not have it. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<WorkerCommand>) => void) | null;
  postMessage(report: WorkerReport): void;
}

if (import.meta.main) {
  const scope = globalThis as unknown as WorkerScope;
  let starting: Promise<Broker> | undefined;
  scope.onmessage = ({ data: command }) => {
    if ("close" in command) {
      void starting?.then((broker) => broker.close());
      return;
    }
    starting = Broker.start({ service: command.start });
    void starting.then(async (broker) => {
      scope.postMessage({ started: true });
      const { message } = await broker.closed;
      await broker.close();
      scope.postMessage({ closed: message });
    });
  };
}
