/**
 * Every member of the view classes: what {@linkcode ReadOnlyView} does with it, and code that uses it. A member that
 * is not listed here fails the tests, so that somebody looks at it.
 *
 * @module
 */

/** A class of views, as the tests use it in code that they make. */
export interface ViewClass {
  /** Its name, such as `Float32Array`. */
  readonly name: string;
  /** Members that are left as they are: what reads with each. `view` is the view, `sink` takes any values. */
  readonly kept: ReadonlyMap<string, string>;
  /** Members that are left with another type: what reads with each. */
  readonly replaced: ReadonlyMap<string, string>;
  /** Members that are left out: what writes with each, through `$`. */
  readonly removed: ReadonlyMap<string, string>;
  /** Ways to a view that `replaced` members open; `#` is a statement. */
  readonly ways: readonly string[];
}

const NUMBERS = [
  "Int8Array",
  "Uint8Array",
  "Uint8ClampedArray",
  "Int16Array",
  "Uint16Array",
  "Int32Array",
  "Uint32Array",
  "Float16Array",
  "Float32Array",
  "Float64Array",
];

const INTEGERS_OF_64_BITS = ["BigInt64Array", "BigUint64Array"];

function typedArray(name: string, one: string): ViewClass {
  const isBytes = name === "Uint8Array";
  const use = "sink(value, index, a[0], a.at(-1), a.subarray(1, 2).length, a.valueOf().byteLength);";
  const callback = (then: string): string => `(value, index, a) => { ${use} return ${then}; }`;
  const fold = `(previous, value, index, a) => { ${use} return previous; }`;
  const tests = ["every", "find", "findIndex", "findLast", "findLastIndex", "some"];
  const folds = ["reduce", "reduceRight"];
  return {
    name,
    kept: new Map([
      ["BYTES_PER_ELEMENT", "sink(view.BYTES_PER_ELEMENT);"],
      ["byteLength", "sink(view.byteLength);"],
      ["byteOffset", "sink(view.byteOffset);"],
      ["length", "sink(view.length);"],
      ["at", "sink(view.at(0));"],
      ["entries", "for (const [index, value] of view.entries()) sink(index, value);"],
      ["includes", `sink(view.includes(${one}));`],
      ["indexOf", `sink(view.indexOf(${one}));`],
      ["join", 'sink(view.join(", "));'],
      ["keys", "for (const index of view.keys()) sink(view[index]);"],
      ["lastIndexOf", `sink(view.lastIndexOf(${one}));`],
      ["slice", `view.slice().fill(${one}); view.slice(1, 3)[0] = ${one};`],
      ["toLocaleString", "sink(view.toLocaleString());"],
      ["toReversed", `view.toReversed().fill(${one});`],
      ["toSorted", `view.toSorted().fill(${one}); view.toSorted((a, b) => Number(b - a))[0] = ${one};`],
      ["toString", "sink(view.toString(), `${view}`);"],
      ["values", "for (const value of view.values()) sink(value);"],
      ["with", `view.with(0, ${one}).fill(${one});`],
      ["[Symbol.iterator]", "sink(...view); for (const value of view) sink(value);"],
      ["[Symbol.toStringTag]", "sink(view[Symbol.toStringTag]);"],
      ...(isBytes ? [["toBase64", "sink(view.toBase64());"], ["toHex", "sink(view.toHex());"]] as const : []),
    ]),
    replaced: new Map([
      ...tests.map((method) => [method, `sink(view.${method}(${callback("true")}));`] as const),
      ["filter", `view.filter(${callback("true")}).fill(${one});`],
      ["forEach", `view.forEach((value, index, a) => { ${use} });`],
      ["map", `view.map(${callback("value")}).fill(${one});`],
      ...folds.map((method) =>
        [method, `sink(view.${method}(${fold}), view.${method}(${fold}, "text"));`] as const
      ),
      ["subarray", "sink(view.subarray(1).at(0), view.subarray(1, 3).valueOf().length);"],
      ["valueOf", "sink(view.valueOf().at(0));"],
    ]),
    removed: new Map([
      ["number", `$[0] = ${one};`], // the index may be read, and not written
      ["buffer", "new Uint8Array($.buffer).fill(1);"],
      ["copyWithin", "$.copyWithin(0, 1);"],
      ["fill", `$.fill(${one});`],
      ["reverse", "$.reverse();"],
      ["set", `$.set([${one}]);`],
      ["sort", "$.sort();"],
      ...(isBytes
        ? [["setFromBase64", '$.setFromBase64("AAAA");'], ["setFromHex", '$.setFromHex("00");']] as const
        : []),
    ]),
    ways: [
      "{ const v = view; # }",
      "{ const v = view.subarray(0, 1); # }",
      "{ const v = view.valueOf(); # }",
      ...tests.map((method) => `view.${method}((_value, _index, v) => { # return true; });`),
      "view.filter((_value, _index, v) => { # return true; });",
      "view.forEach((_value, _index, v) => { # });",
      `view.map((_value, _index, v) => { # return ${one}; });`,
      ...folds.map((method) => `view.${method}((previous, _value, _index, v) => { # return previous; });`),
      ...folds.map((method) =>
        `view.${method}((previous, _value, _index, v) => { # return previous; }, "");`
      ),
    ],
  };
}

function dataView(): ViewClass {
  const types = ["Int8", "Uint8", "Int16", "Uint16", "Int32", "Uint32", "Float16", "Float32", "Float64"];
  const big = ["BigInt64", "BigUint64"];
  return {
    name: "DataView",
    kept: new Map([
      ["byteLength", "sink(view.byteLength);"],
      ["byteOffset", "sink(view.byteOffset);"],
      ["[Symbol.toStringTag]", "sink(view[Symbol.toStringTag]);"],
      ...[...types, ...big].map((type) => [`get${type}`, `sink(view.get${type}(0));`] as const),
    ]),
    replaced: new Map(),
    removed: new Map([
      ["buffer", "new Uint8Array($.buffer).fill(1);"],
      ...types.map((type) => [`set${type}`, `$.set${type}(0, 1);`] as const),
      ...big.map((type) => [`set${type}`, `$.set${type}(0, 1n);`] as const),
    ]),
    ways: ["{ const v = view; # }"],
  };
}

/** All view classes that the language has. */
export const VIEW_CLASSES: readonly ViewClass[] = [
  ...NUMBERS.map((name) => typedArray(name, "1")),
  ...INTEGERS_OF_64_BITS.map((name) => typedArray(name, "1n")),
  dataView(),
];

/** All statements that write to a view of a class, whichever way they get it. */
export function writesOf({ removed, ways }: ViewClass): string[] {
  return ways.flatMap((way) =>
    [...removed.values()].map((write) => way.replace("#", () => write.replaceAll("$", "v")))
  );
}

/** All statements that read from a view of a class. */
export function readsOf({ kept, replaced }: ViewClass): string[] {
  return [...kept.values(), ...replaced.values()];
}
