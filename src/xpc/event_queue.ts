import { type Library, load } from "../../ffi/load.ts";
import { cString, handleAt } from "../../ffi/memory.ts";
import type { DispatchQueue, ShimLink, ShimQueue, XpcObject } from "../../ffi/types.ts";
import { hasDescriptors } from "./spare_descriptors.ts";
import { WakeSocket } from "./wake_socket.ts";

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
  /** One of {@linkcode ErrorCode}; `invalid` is the last event of a link. */
  error(code: number): void;
}

/** Receives the result of a request, a barrier or a wait: a reply, which the receiver owns, or a number. */
export type Completion = (reply: XpcObject | undefined, value: number) => void;

/**
 * With fewer descriptors nothing starts. A client takes ten at most until it is connected. Deno takes two, half a second
 * after the start of a process, and aborts the process if it does not get them.
 */
const MIN_DESCRIPTORS = 12;

/** A new native queue, with the end of its socket that the realm reads. */
interface NativeQueue {
  readonly handle: ShimQueue;
  readonly target: DispatchQueue;
  readonly wakeFd: number;
}

/**
 * The queue of events of this realm. Native threads fill it and send a byte on a socket that the event loop reads;
 * JavaScript drains it. It exists while somebody uses it, and keeps the event loop alive for as long.
 *
 * When the realm dies without releasing the queue (a terminated worker), the native side notices that the socket was
 * closed and ends all that the realm has left behind.
 */
export class EventQueue {
  static #current: Promise<EventQueue> | undefined;

  readonly library: Library;
  readonly handle: ShimQueue;
  /** The serial queue that XPC calls our blocks on: one thread for the whole realm. */
  readonly target: DispatchQueue;
  readonly #socket: WakeSocket;
  readonly #wakeFd: number;
  readonly #events = new DataView(new ArrayBuffer(CAPACITY * EVENT_BYTES));
  readonly #sinks = new Map<number, Sink>();
  readonly #completions = new Map<number, Completion>();
  #users = 0;
  #lastRequest = 0;
  #releasing: Promise<void> | undefined;

  /** The realm's queue. Each call must be matched by one of {@linkcode release}. */
  static async acquire(): Promise<EventQueue> {
    EventQueue.#current ??= EventQueue.#create();
    const current = EventQueue.#current;
    let queue: EventQueue;
    try {
      queue = await current;
    } catch (error) {
      if (EventQueue.#current === current) EventQueue.#current = undefined;
      throw error;
    }
    // Its last user may have released it while we waited.
    if (queue.#releasing !== undefined) return await EventQueue.acquire();
    return queue.retain();
  }

  static async #create(): Promise<EventQueue> {
    const library = await load();
    const native = makeNative(library);
    const socket = await WakeSocket.open(native.wakeFd);
    const queue = new EventQueue(library, native, socket);
    socket.listen(() => queue.#drain(), () => {});
    return queue;
  }

  private constructor(library: Library, native: NativeQueue, socket: WakeSocket) {
    this.library = library;
    this.handle = native.handle;
    this.target = native.target;
    this.#socket = socket;
    this.#wakeFd = native.wakeFd;
  }

  /** Whether this process can open so many more descriptors. True for a moment only. */
  hasDescriptors(count: number): boolean {
    return hasDescriptors(this.library, this.#wakeFd, count);
  }

  /** Adds one user to a queue that is in use. */
  retain(): this {
    this.#users++;
    return this;
  }

  /** Releases one use. Resolves when the queue is gone, if this was the last one. */
  async release(): Promise<void> {
    if (--this.#users > 0) return;
    EventQueue.#current = undefined;
    this.#releasing = this.#release();
    await this.#releasing;
  }

  async #release(): Promise<void> {
    const { shim, dispatch } = this.library;
    shim.shim_queue_release(this.handle);
    dispatch.dispatch_release(this.target);
    await this.#socket.close();
  }

  /** Sends the events of a link to `sink`. */
  connect(id: number, sink: Sink): void {
    this.#sinks.set(id, sink);
  }

  /** Discards the events of a link from now on. */
  disconnect(id: number): void {
    this.#sinks.delete(id);
  }

  /** Gives a number for a request whose result `completion` receives, once. */
  expect(completion: Completion): number {
    do {
      this.#lastRequest = (this.#lastRequest + 1) >>> 0;
    } while (this.#completions.has(this.#lastRequest));
    this.#completions.set(this.#lastRequest, completion);
    return this.#lastRequest;
  }

  /** Forgets a request: a result that still comes is released. */
  forget(request: number): void {
    this.#completions.delete(request);
  }

  #drain(): void {
    const { shim } = this.library;
    // A handler may release the queue.
    while (this.#releasing === undefined) {
      const count = shim.shim_queue_drain(this.handle, this.#events, CAPACITY);
      if (count === 0) break;
      for (let index = 0; index < count; index++) {
        try {
          this.#dispatch(index * EVENT_BYTES);
        } catch (error) {
          reportError(error); // one handler's exception must not keep the others from their events
        }
      }
    }
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

/** Makes the native queue and the dispatch queue, or neither. */
function makeNative(library: Library): NativeQueue {
  const { shim, dispatch } = library;
  const wake = new Int32Array(1);
  const handle = shim.shim_queue_create(wake);
  const target = dispatch.dispatch_queue_create(cString("io.jsr.xpc.shmem.events"), null);
  const made = handle !== null && target !== null;
  if (made && hasDescriptors(library, wake[0]!, MIN_DESCRIPTORS)) return { handle, target, wakeFd: wake[0]! };
  if (handle !== null) {
    shim.shim_queue_release(handle);
    shim.shim_descriptor_close(wake[0]!);
  }
  if (target !== null) dispatch.dispatch_release(target);
  throw new Error(
    made
      ? `Cannot start the queue of XPC events: the process has fewer than ${MIN_DESCRIPTORS} descriptors left; ` +
        "close some files, or raise the limit (ulimit -n)"
      : "Cannot start the queue of XPC events: the process has no memory or descriptor left (see ulimit -n)",
  );
}
