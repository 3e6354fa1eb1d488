import { EventQueue } from "../xpc/event_queue.ts";
import { Broker } from "./broker.ts";
import type { WorkerCommand, WorkerReport } from "./broker_worker.ts";
// The import makes the worker's module part of this package's module graph: a registry delivers it with the others.
import "./broker_worker.ts";

/** A broker that this process runs. */
export interface EmbeddedBroker {
  /** Resolves with the reason when the broker no longer listens. */
  readonly closed: Promise<string>;
  /** Ends the broker. Idempotent. */
  close(): Promise<void>;
}

/**
 * Starts a broker: in a worker if the permissions allow one, so that the broker answers while this realm is busy,
 * else in this realm.
 *
 * @param service the broker's Mach service
 * @returns the broker, which is about to listen
 */
export async function startEmbedded(service: string): Promise<EmbeddedBroker> {
  return await startInWorker(service) ?? await startInRealm(service);
}

/**
 * Starts a broker in this realm.
 *
 * @throws {Error} if the process has too few descriptors
 */
export async function startInRealm(service: string): Promise<EmbeddedBroker> {
  if (!await hasDescriptors(REALM_DESCRIPTORS)) {
    throw new Error(
      `Cannot run the broker: this process has fewer than ${REALM_DESCRIPTORS} descriptors left; ` +
        `close some files, or raise the limit (ulimit -n)`,
    );
  }
  const broker = await Broker.start({ service });
  return { closed: broker.closed.then(({ message }) => message), close: () => broker.close() };
}

/** Starts a broker in a worker; gives `undefined` if there can be none. */
async function startInWorker(service: string): Promise<EmbeddedBroker | undefined> {
  const module = new URL("./broker_worker.ts", import.meta.url);
  if (!mayLoad(module) || !await hasDescriptors(WORKER_DESCRIPTORS)) return undefined;
  const worker = new Worker(module, { type: "module", name: "xpc-shmem broker" });
  const started = Promise.withResolvers<boolean>();
  const closed = Promise.withResolvers<string>();
  const tell = (command: WorkerCommand): void => worker.postMessage(command);
  worker.onmessage = ({ data: report }: MessageEvent<WorkerReport>) => {
    if ("started" in report) return started.resolve(true);
    // Only now: the worker must have ended its XPC connections before it may end.
    worker.terminate();
    closed.resolve(report.closed);
  };
  worker.onerror = (event) => {
    event.preventDefault(); // it would end this realm, and be printed
    worker.terminate();
    started.resolve(false);
    closed.resolve(`the worker of the broker has failed: ${event.message}`);
  };
  tell({ start: service });
  if (!await started.promise) return undefined;
  return {
    closed: closed.promise,
    close: async () => {
      tell({ close: true });
      await closed.promise;
    },
  };
}

/** How many descriptors a worker and its connections need at most: without them the runtime ends the process. */
const WORKER_DESCRIPTORS = 16;

/** How many a broker in this realm needs, and then the first app that asks it. */
const REALM_DESCRIPTORS = 8;

async function hasDescriptors(count: number): Promise<boolean> {
  const queue = await EventQueue.acquire();
  try {
    return queue.hasDescriptors(count);
  } finally {
    await queue.release();
  }
}

/** Whether this realm may start a worker of a module. It never asks: a prompt would surprise the user. */
function mayLoad({ protocol, pathname, hostname, port }: URL): boolean {
  const permission: Deno.PermissionDescriptor = protocol === "file:"
    ? { name: "read", path: decodeURIComponent(pathname) }
    : { name: "import", host: `${hostname}:${port || (protocol === "https:" ? 443 : 80)}` };
  return Deno.permissions.querySync(permission).state === "granted";
}
