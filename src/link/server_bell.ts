import type { ShimAudience } from "../../ffi/types.ts";
import type { Mapping } from "../memory/mapping.ts";
import type { EventQueue } from "../xpc/event_queue.ts";
import type { IncomingMessage } from "../xpc/incoming_message.ts";
import { FileDescriptor } from "../xpc/mod.ts";
import { MAXIMUM_REGIONS, serverParkedAt } from "./layout.ts";

/** The server's doorbell as a client knows it: first not at all, then perhaps from a message. */
export class ServerBell implements Disposable {
  readonly #queue: EventQueue;
  readonly #audience: ShimAudience;
  #fd: number | undefined;
  #member: number | undefined;

  constructor(queue: EventQueue, audience: ShimAudience) {
    this.#queue = queue;
    this.#audience = audience;
  }

  /** Whether the server gave us its bell. */
  get known(): boolean {
    return this.#fd !== undefined;
  }

  /** Adds the server to our audience: commits look at its parked words from now on. */
  join(server: Mapping): void {
    const { shim } = this.#queue.library;
    const member = shim.shim_audience_add(
      this.#audience,
      server.word(serverParkedAt(0)),
      MAXIMUM_REGIONS,
      this.#fd ?? -1, // the bell may come before the reply to hello
    );
    if (member < 0) throw new Error("Cannot connect: no memory is left");
    this.#member = member;
  }

  /** Takes the bell out of a message of the server. */
  receive(message: IncomingMessage): void {
    using _ = message;
    const { event, bell } = message.values;
    if (event === "bell" && bell instanceof FileDescriptor) this.take(bell);
  }

  /** Takes the bell, which stays the caller's. The first counts. */
  take(bell: FileDescriptor): void {
    if (this.known) return;
    const { shim } = this.#queue.library;
    let fd: number;
    try {
      fd = bell.dup();
    } catch {
      return; // no descriptor is left: notes wake the server instead
    }
    this.#fd = fd;
    if (this.#member !== undefined) shim.shim_audience_set_bell(this.#audience, this.#member, fd);
    // For what was committed before. A bell that fails is a server that is gone, which the link tells.
    shim.shim_bell_ring(fd);
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) this.#queue.library.shim.shim_descriptor_close(this.#fd);
  }
}
