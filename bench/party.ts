/**
 * What the two measured processes are told, and what an exercise finds in its process.
 *
 * @module
 */
import type { ChannelOptions, Client, Server, StreamOptions, WritableRegion } from "../mod.ts";

/** What both parties are told to begin with. */
export interface Setting {
  /** The name of the service. */
  readonly name: string;
  /** The broker's. */
  readonly broker: string;
  /** The lengths of the regions, by name. */
  readonly regions: Readonly<Record<string, number>>;
  /** The streams, by name; none if it is left out. */
  readonly streams?: Readonly<Record<string, StreamOptions>>;
  /** The channels, by name; none if it is left out. */
  readonly channels?: Readonly<Record<string, ChannelOptions>>;
}

/** What both are told when they do something together. */
export interface Together {
  /** The revisions of the regions, by name, before either begins. */
  readonly revisions: Readonly<Record<string, number>>;
}

/** A party, as exercises see it. */
export interface Party {
  /** What it was told to begin with. */
  readonly setting: Setting;
  /** The names of the regions of the setting. */
  readonly regions: readonly string[];
  /** The regions of the setting. */
  region(name: string): WritableRegion;
  /** The server, where this party is it. */
  readonly server: Server | undefined;
  /** The client, where this party is it. */
  readonly client: Client | undefined;
  /** A clock that all processes of this machine share, in nanoseconds. */
  readonly clock: () => number;
  /** What exercises leave for later ones, such as sockets. */
  readonly kept: Map<string, Deno.Conn>;
}
