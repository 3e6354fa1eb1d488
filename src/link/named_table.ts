import type { XpcValue } from "../xpc/mod.ts";
import { LinkRefusal } from "./protocol.ts";

/** What a server shares of one kind, by name: finds it for this process and for clients, and says what there is. */
export class NamedTable<T> extends Map<string, T> {
  readonly #kind: string;

  /** @param kind what it is, as in "the region "scene"": region, stream, … */
  constructor(kind: string) {
    super();
    this.#kind = kind;
  }

  /** The names. */
  get names(): string[] {
    return [...this.keys()];
  }

  /**
   * What has this name.
   *
   * @throws {Deno.errors.NotFound} if there is none; the message lists the names
   */
  find(name: string): T {
    const found = this.get(name);
    if (found !== undefined) return found;
    throw new Deno.errors.NotFound(
      `Cannot find the ${this.#kind} "${name}": this server has ${this.#known()}`,
    );
  }

  /**
   * What a client asks for by name.
   *
   * @throws {LinkRefusal} if the name is no text, or there is none of it
   */
  asked(name: XpcValue | undefined): T {
    if (typeof name !== "string") {
      throw new LinkRefusal("bad_request", `Cannot open a ${this.#kind}: name is not a string`);
    }
    const found = this.get(name);
    if (found !== undefined) return found;
    throw new LinkRefusal(
      "not_found",
      `Cannot open the ${this.#kind} "${name}": the server has ${this.#known()}`,
    );
  }

  #known(): string {
    const names = this.names.map((name) => `"${name}"`);
    return names.length === 0 ? `no ${this.#kind}s` : names.join(", ");
  }
}
