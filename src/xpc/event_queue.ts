import { type Library, load } from "../../ffi/load.ts";
import { cString, handleAt } from "../../ffi/memory.ts";
import type { DispatchQueue, ShimLink, ShimQueue, XpcObject } from "../../ffi/types.ts";

/** `enum shim_event_kind` */
const Kind = { message: 1, peer: 2, reply: 3, replyError: 4, error: 5, barrier: 6, wait: 7 } as const;

/** `enum shim_error` */
export const ErrorCode = { other: 0, interrupted: 1, invalid: 2, terminating: 3, requirement: 4 } as const;

/** The size of `shim_event`, and how many are taken at a time. */
const EVENT_BYTES = 32;
const CAPACITY = 64;

/** What a link does with its events. */
export interface Sink {
  /** A message; the sink owns the dictionary. */
  message(dictionary: XpcObject): void;
  /** A new peer of a listener; the sink owns the link. */
  peer(link: ShimLink): void;
  /** One of {@linkcode ErrorCode}; after `invalid` nothing follows. */
  error(code: number): void;
}

/** The end of a request, a barrier or a wait: a reply (the receiver owns it), or a number. */
export type Completion = (reply: XpcObject | undefined, value: number) => void;

/**
 * The queue of events of this realm. Native threads fill it and call one thread-safe callback; JavaScript drains
 * it. It exists while somebody uses it, and keeps the event loop alive for as long.
 */
export class EventQueue {
  static #current: EventQueue | undefined;

  readonly library: Library;
  readonly handle: ShimQueue;
  /** The serial queue that XPC calls our blocks on: one thread for the whole realm. */
  readonly target: DispatchQueue;
  readonly #callback: Deno.UnsafeCallback<{ parameters: ["pointer"]; result: "void" }>;
  readonly #events = new DataView(new ArrayBuffer(CAPACITY * EVENT_BYTES));
  readonly #sinks = new Map<number, Sink>();
  readonly #completions = new Map<number, Completion>();
  readonly #finished = Promise.withResolvers<void>();
  #users = 0;
  #lastRequest = 0;

  /** The realm's queue. Each call must be matched by one of {@linkcode release}. */
  static async acquire(): Promise<EventQueue> {
    const library = await load();
    EventQueue.#current ??= new EventQueue(library);
    EventQueue.#current.#users++;
    return EventQueue.#current;
  }

  private constructor(library: Library) {
    this.library = library;
    this.#callback = Deno.UnsafeCallback.threadSafe(
      { parameters: ["pointer"], result: "void" },
      () => this.#drain(),
    );
    const handle = library.shim.shim_queue_create(this.#callback.pointer, null);
    const target = library.dispatch.dispatch_queue_create(cString("io.jsr.xpc.shmem.events"), null);
    if (handle === null || target === null) {
      if (handle !== null) {
        library.shim.shim_queue_stop(handle); // it has called nobody yet
        library.shim.shim_queue_release(handle);
      }
      if (target !== null) library.dispatch.dispatch_release(target);
      this.#callback.close();
      throw new Error("Cannot start the queue of XPC events: no memory or thread is left");
    }
    this.handle = handle;
    this.target = target;
  }

  /** One more user of a queue that is in use. */
  retain(): this {
    this.#users++;
    return this;
  }

  /** Gives the queue up. Resolves when it is gone, if this was the last user. */
  async release(): Promise<void> {
    if (--this.#users > 0) return;
    EventQueue.#current = undefined;
    const { shim, dispatch } = this.library;
    shim.shim_queue_finish(this.handle);
    await this.#finished.promise;
    // The native thread leaves the callback when JavaScript has returned from it: surely by the next task.
    await new Promise((resolve) => setTimeout(resolve, 0));
    shim.shim_queue_stop(this.handle);
    shim.shim_queue_release(this.handle);
    dispatch.dispatch_release(this.target);
    this.#callback.close();
  }

  /** Says where the events of a link go. */
  connect(id: number, sink: Sink): void {
    this.#sinks.set(id, sink);
  }

  /** Ends that. */
  disconnect(id: number): void {
    this.#sinks.delete(id);
  }

  /** A number for a request, and who is told of its end, once. */
  expect(completion: Completion): number {
    do {
      this.#lastRequest = (this.#lastRequest + 1) >>> 0;
    } while (this.#completions.has(this.#lastRequest));
    this.#completions.set(this.#lastRequest, completion);
    return this.#lastRequest;
  }

  /** Nobody waits any more; what still comes is released. */
  forget(request: number): void {
    this.#completions.delete(request);
  }

  #drain(): void {
    const { shim } = this.library;
    for (;;) {
      const count = shim.shim_queue_drain(this.handle, this.#events, CAPACITY);
      if (count === 0) break;
      for (let index = 0; index < count; index++) {
        try {
          this.#dispatch(index * EVENT_BYTES);
        } catch (error) {
          reportError(error); // an exception must not leave a native callback
        }
      }
    }
    if (shim.shim_queue_finished(this.handle)) this.#finished.resolve();
  }

  #dispatch(at: number): void {
    const kind = this.#events.getUint32(at, true);
    const source = this.#events.getUint32(at + 4, true);
    const request = this.#events.getUint32(at + 8, true);
    const value = this.#events.getInt32(at + 12, true);
    const object = handleAt<XpcObject>(this.#events, at + 16);
    const link = handleAt<ShimLink>(this.#events, at + 24);
    switch (kind) {
      case Kind.message:
      case Kind.peer:
      case Kind.error: {
        const sink = this.#sinks.get(source);
        if (sink === undefined) this.#drop(object, link);
        else if (kind === Kind.error) sink.error(value);
        else if (object !== null) sink.message(object);
        else if (link !== null) sink.peer(link);
        break;
      }
      case Kind.reply:
      case Kind.replyError:
      case Kind.barrier:
      case Kind.wait: {
        const completion = this.#completions.get(request);
        this.#completions.delete(request);
        if (completion === undefined) this.#drop(object, link);
        else completion(object ?? undefined, value);
        break;
      }
      default:
        this.#drop(object, link);
    }
  }

  #drop(object: XpcObject | null, link: ShimLink | null): void {
    if (object !== null) this.library.xpc.xpc_release(object);
    if (link !== null) {
      this.library.shim.shim_link_cancel(link);
      this.library.shim.shim_link_release(link);
    }
  }
}
