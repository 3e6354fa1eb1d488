/**
 * Binds the functions of libraries in two steps. Making a function callable takes about 0.1 ms, so that what a first
 * connection does not need is bound at the first call of any of it.
 *
 * @module
 */

/** The callable functions of a table. */
type Symbols<T extends Deno.ForeignLibraryInterface> = Deno.StaticForeignLibraryInterface<T>;

/** Binds libraries; what is left for later is bound for all of them together. */
export class Binder {
  readonly #rest: (() => void)[] = [];

  /**
   * Opens a library and binds the functions of a table.
   *
   * @param path the library
   * @param table the functions
   * @param later the names of those that are bound at the first use of one of them: none that is called often, since
   *   a call finds it by a getter
   * @returns the functions
   */
  bind<T extends Deno.ForeignLibraryInterface>(
    path: string,
    table: T,
    later: ReadonlySet<string>,
  ): Symbols<T> {
    let bound: Readonly<Record<string, unknown>> | undefined;
    this.#rest.push(() => bound = Deno.dlopen(path, select(table, (key) => later.has(key))).symbols);
    const getters: object = {};
    for (const name of later) {
      const get = (): unknown => {
        if (bound === undefined) this.#bindRest();
        return bound![name];
      };
      Object.defineProperty(getters, name, { get });
    }
    const { symbols } = Deno.dlopen(path, select(table, (key) => !later.has(key)));
    // As the prototype: the functions that are bound now stay properties of their own, which are quick to find.
    return Object.setPrototypeOf({ ...symbols }, getters) as Symbols<T>;
  }

  /** For all libraries at once: a test that counts resources sees one moment at which libraries are opened. */
  #bindRest(): void {
    for (const rest of this.#rest.splice(0)) rest();
  }
}

function select(
  table: Deno.ForeignLibraryInterface,
  has: (name: string) => boolean,
): Deno.ForeignLibraryInterface {
  return Object.fromEntries(Object.entries(table).filter(([name]) => has(name)));
}
