import type { Library } from "../../ffi/load.ts";
import type { XpcObject } from "../../ffi/types.ts";
import { HeldObject } from "./_held.ts";

/**
 * Writable memory on its way between processes, as a message carries it. It can be sent on; `Mapping.open` in
 * `src/memory` maps it.
 */
export class SharedMemory implements Disposable {
  /** @internal */
  readonly held: HeldObject;

  /** @internal */
  constructor(library: Library, object: XpcObject) {
    this.held = new HeldObject(library, object);
  }

  /** Releases the memory. Mappings of it live on. */
  [Symbol.dispose](): void {
    this.held[Symbol.dispose]();
  }
}
