import type { Library } from "../../ffi/load.ts";
import type { XpcObject } from "../../ffi/types.ts";
import { HeldObject } from "./_held.ts";

/**
 * Memory on its way between processes: what a message carries of a writable region. Regions are made of it in
 * `src/memory`; by itself it can only be sent on.
 */
export class SharedMemory implements Disposable {
  /** @internal */
  readonly held: HeldObject;

  /** @internal */
  constructor(library: Library, object: XpcObject) {
    this.held = new HeldObject(library, object);
  }

  /** Gives the memory up. Mappings of it live on. */
  [Symbol.dispose](): void {
    this.held[Symbol.dispose]();
  }
}
