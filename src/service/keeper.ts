import type { ClientLink } from "../link/client_link.ts";
import type { LinkedRegion } from "../link/linked_region.ts";

/**
 * What a peer has mapped of its service, so that it can serve it when the server is gone: every region in its newest
 * generation. What it has of a server that is gone it keeps until it has the same from the next one.
 */
export class Keeper {
  readonly #kept = new Map<string, LinkedRegion>();
  #link: ClientLink | undefined;
  /** The update that runs, and whether another has to follow. */
  #running: Promise<void> | undefined;
  #again = false;

  /** The regions. */
  get regions(): LinkedRegion[] {
    return [...this.#kept.values()];
  }

  /**
   * Maps all regions of a server.
   *
   * @param link the link to it
   * @param signal ends the wait for the server
   * @throws {ConnectionError} if it is gone
   * @throws the signal's reason, if it aborts first
   */
  async use(link: ClientLink, signal: AbortSignal): Promise<void> {
    await this.#running?.catch(() => {}); // of a server that is gone
    this.#link = link;
    await this.#update(link, signal);
  }

  /** The regions of the server are others. */
  changed(): void {
    this.#again = true;
    if (this.#running === undefined && this.#link !== undefined) {
      this.#update(this.#link, undefined).catch(() => {}); // the server is gone, which the link tells
    }
  }

  /** Closes all regions. */
  async close(): Promise<void> {
    this.#link = undefined;
    await this.#running?.catch(() => {});
    await Promise.all(this.regions.map((region) => region.close()));
    this.#kept.clear();
  }

  #update(link: ClientLink, signal: AbortSignal | undefined): Promise<void> {
    const running = this.#run(link, signal).finally(() => this.#running = undefined);
    this.#running = running;
    return running;
  }

  async #run(link: ClientLink, signal: AbortSignal | undefined): Promise<void> {
    do {
      this.#again = false;
      for (const { name, generation } of await link.describe(signal)) {
        const kept = this.#kept.get(name);
        if (kept?.end === link && kept.generation === generation) continue;
        // Also the descriptor: the next server shares it on.
        const region = await link.region(name, { write: false, prefault: false, signal, keep: true });
        this.#kept.set(name, region);
        await kept?.close();
      }
    } while (this.#again && this.#link === link);
  }
}
