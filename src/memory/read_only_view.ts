/**
 * A view of memory that must not be written: the kernel kills a process that does. The type lists the members that
 * only read, and hand out numbers, text, and arrays of their own. It leaves out what writes, and what hands out
 * something that can be written through (`buffer`). Methods that hand the view itself to their caller hand out this
 * type. What a later version of the language adds is left out until somebody has looked at it.
 *
 * Elements are copied out by `view.slice()`, or by `target.set(view)` into an array that is used again.
 *
 * No type can stop code that goes around it: a cast, `Object.assign(view, …)`, `Reflect.set(view, …)`, a method of
 * another prototype (`Uint8Array.prototype.fill.call(view, …)`), and an assignment to a type with a writable index
 * (`{ [index: number]: number }`, which TypeScript lets pass) still write, and end the process.
 *
 * @typeParam V the view, such as `Float32Array`
 */
export type ReadOnlyView<V extends ArrayBufferView> = V extends DataView
  ? Pick<V, Extract<keyof V, `get${string}` | "byteLength" | "byteOffset" | typeof Symbol.toStringTag>>
  : V extends { readonly [index: number]: infer E; slice(begin?: number, end?: number): infer C } ?
      & Pick<
        V,
        Extract<
          keyof V,
          | "BYTES_PER_ELEMENT"
          | "byteLength"
          | "byteOffset"
          | "length"
          | "at"
          | "entries"
          | "includes"
          | "indexOf"
          | "join"
          | "keys"
          | "lastIndexOf"
          | "slice"
          | "toBase64"
          | "toHex"
          | "toLocaleString"
          | "toReversed"
          | "toSorted"
          | "toString"
          | "values"
          | "with"
          | typeof Symbol.iterator
          | typeof Symbol.toStringTag
        >
      >
      & {
        /** The element at an index. */
        readonly [index: number]: E;
        /** Whether `test` holds for every element. */
        every(test: (value: E, index: number, view: ReadOnlyView<V>) => unknown, thisArg?: unknown): boolean;
        /** A copy of the elements for which `test` holds. */
        filter(test: (value: E, index: number, view: ReadOnlyView<V>) => unknown, thisArg?: unknown): C;
        /** The first element for which `test` holds. */
        find(
          test: (value: E, index: number, view: ReadOnlyView<V>) => unknown,
          thisArg?: unknown,
        ): E | undefined;
        /** The index of the first element for which `test` holds, or -1. */
        findIndex(
          test: (value: E, index: number, view: ReadOnlyView<V>) => unknown,
          thisArg?: unknown,
        ): number;
        /** The last element for which `test` holds. */
        findLast(
          test: (value: E, index: number, view: ReadOnlyView<V>) => unknown,
          thisArg?: unknown,
        ): E | undefined;
        /** The index of the last element for which `test` holds, or -1. */
        findLastIndex(
          test: (value: E, index: number, view: ReadOnlyView<V>) => unknown,
          thisArg?: unknown,
        ): number;
        /** Calls `visit` with each element. */
        forEach(visit: (value: E, index: number, view: ReadOnlyView<V>) => void, thisArg?: unknown): void;
        /** A copy with what `change` makes of each element. */
        map(change: (value: E, index: number, view: ReadOnlyView<V>) => E, thisArg?: unknown): C;
        /** Folds the elements into one, from the first on. */
        reduce(fold: (previous: E, value: E, index: number, view: ReadOnlyView<V>) => E): E;
        /** Folds the elements into `initial`, from the first on. */
        reduce<R>(fold: (previous: R, value: E, index: number, view: ReadOnlyView<V>) => R, initial: R): R;
        /** Folds the elements into one, from the last on. */
        reduceRight(fold: (previous: E, value: E, index: number, view: ReadOnlyView<V>) => E): E;
        /** Folds the elements into `initial`, from the last on. */
        reduceRight<R>(
          fold: (previous: R, value: E, index: number, view: ReadOnlyView<V>) => R,
          initial: R,
        ): R;
        /** Whether `test` holds for any element. */
        some(test: (value: E, index: number, view: ReadOnlyView<V>) => unknown, thisArg?: unknown): boolean;
        /** A part of the view, no copy. */
        subarray(begin?: number, end?: number): ReadOnlyView<V>;
        /** The view itself. */
        valueOf(): ReadOnlyView<V>;
      }
  : never;
