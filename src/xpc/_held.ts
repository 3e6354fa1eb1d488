import type { Library } from "../../ffi/load.ts";
import type { XpcObject } from "../../ffi/types.ts";

/** What the garbage collector releases when nobody did. */
interface Held {
  readonly library: Library;
  readonly object: XpcObject;
}

const registry = new FinalizationRegistry<Held>(({ library, object }) => library.xpc.xpc_release(object));

/** An XPC object that JavaScript owns one reference of: released by `dispose`, once, or with the wrapper. */
export class HeldObject implements Disposable {
  readonly #library: Library;
  #object: XpcObject | undefined;

  /** Takes over one reference. */
  constructor(library: Library, object: XpcObject) {
    this.#library = library;
    this.#object = object;
    registry.register(this, { library, object }, this);
  }

  /** The libraries that the object lives in. */
  get library(): Library {
    return this.#library;
  }

  /** Whether the reference was given up. */
  get disposed(): boolean {
    return this.#object === undefined;
  }

  /**
   * The object, borrowed.
   *
   * @param doing what for, as in "Cannot send an endpoint"
   * @throws {TypeError} if it was disposed
   */
  borrow(doing: string): XpcObject {
    if (this.#object === undefined) throw new TypeError(`Cannot ${doing}: it is disposed`);
    return this.#object;
  }

  [Symbol.dispose](): void {
    if (this.#object === undefined) return;
    registry.unregister(this);
    this.#library.xpc.xpc_release(this.#object);
    this.#object = undefined;
  }
}
