/**
 * A worker that attaches to regions and does with them what it is told, one thing after the other.
 *
 * @module
 */
import { attach, connect, type SharedRegion, waitAnySync, type WritableRegion } from "../../mod.ts";

/** What the worker is told. */
export type Task =
  | { readonly op: "attach"; readonly message: SharedRegion }
  | { readonly op: "write"; readonly value: number }
  | {
    readonly op:
      | "read"
      | "lock"
      | "lockSync"
      | "lockLater"
      | "unlock"
      | "close"
      | "closed"
      | "share"
      | "changes";
  }
  | { readonly op: "waitSync" | "change" | "waitAny"; readonly after: number }
  | { readonly op: "copy"; readonly timeout: number }
  | { readonly op: "count"; readonly rounds: number; readonly how: "sync" | "async" }
  | { readonly op: "view" | "spin" }
  | { readonly op: "connect"; readonly name: string; readonly broker: string }
  | { readonly op: "die"; readonly death: "close" | "throw" | "reject" };

const scope = self as unknown as {
  onmessage: ((event: MessageEvent<Task>) => void) | null;
  postMessage(message: unknown): void;
  close(): void;
};

let region: WritableRegion;
let view: Uint8Array;
let guard: Disposable | undefined;

/** Adds 1 to a number that only the mutex protects. */
function add(numbers: Float64Array): void {
  numbers[1] = numbers[0]! + 1;
  numbers[0] = numbers[1];
}

async function count(rounds: number, how: "sync" | "async"): Promise<void> {
  const numbers = region.view(Float64Array);
  for (let round = 0; round < rounds; round++) {
    const turn = (): number => {
      add(numbers);
      return region.commit([{ byteOffset: 0, byteLength: 16 }]);
    };
    if (how === "sync") region.mutex.withSync(turn);
    else await region.mutex.with(turn);
  }
}

function die(death: "close" | "throw" | "reject"): void {
  if (death === "close") scope.close();
  else if (death === "throw") setTimeout(() => fail(), 0);
  else void Promise.reject(new Error("as told"));
}

function fail(): never {
  throw new Error("as told");
}

async function perform(task: Task): Promise<unknown> {
  switch (task.op) {
    case "attach":
      region = await attach(task.message as SharedRegion<"write">);
      return { name: region.name, byteLength: region.byteLength, revision: region.revision };
    case "write":
      return region.mutex.with(() => {
        region.view(Uint8Array).fill(task.value);
        return region.commit();
      });
    case "read":
      return region.view(Uint8Array)[0];
    case "view":
      view = region.view(Uint8Array);
      return view.length;
    case "closed":
      await region.closed;
      return view.length;
    case "lock":
    case "lockLater": {
      if (task.op === "lockLater") scope.postMessage({ value: "waits" });
      const locked = await region.mutex.lock();
      guard = locked;
      return locked.abandoned;
    }
    case "lockSync": {
      scope.postMessage({ value: "waits" });
      const locked = region.mutex.lockSync();
      guard = locked;
      return locked.abandoned;
    }
    case "unlock":
      return guard?.[Symbol.dispose]();
    case "waitSync":
      scope.postMessage({ value: "waits" });
      return region.waitSync(task.after, { spin: 0 });
    case "waitAny":
      scope.postMessage({ value: "waits" });
      return waitAnySync([{ region, after: task.after }]);
    case "change":
    case "changes": {
      scope.postMessage({ value: "waits" });
      const { value, done } = await region.changes(task.op === "change" ? { after: task.after } : {}).next();
      return done ? "done" : value.revision;
    }
    case "copy": {
      const target = new Uint8Array(region.byteLength);
      region.copyChanges(target, 0, { timeout: task.timeout });
      return target[0];
    }
    case "count":
      return await count(task.rounds, task.how);
    case "share":
      return region.share();
    case "spin":
      view = region.view(Uint8Array);
      scope.postMessage({ value: "waits" });
      while (Atomics.load(view, 0) === 0) continue;
      return view.length;
    case "connect": {
      const broker = { service: task.broker };
      const client = await connect(task.name, { broker, signal: AbortSignal.timeout(30_000) });
      region = await client.open("frame", { write: true });
      guard = await region.mutex.lock();
      return region.share();
    }
    case "close":
      return await region.close();
    case "die":
      return die(task.death);
  }
}

scope.onmessage = async ({ data }) => {
  try {
    scope.postMessage({ value: await perform(data) });
  } catch (error) {
    const { name, message } = error as Error;
    scope.postMessage({ error: name, message });
  }
};
