/**
 * The processes of a run.
 *
 * @module
 */
import { Child } from "./child.ts";
import type { ReaderCommand, ReaderEvents, Setting, WriterCommand, WriterEvents } from "./messages.ts";
import type { Options } from "./options.ts";

/** The process that writes. */
export type WriterChild = Child<WriterEvents, WriterCommand>;
/** The process that reads. */
export type ReaderChild = Child<ReaderEvents, ReaderCommand>;

/** A run under way: the processes that there are now, and what those before them had done. */
export interface Run {
  readonly options: Options;
  readonly setting: Setting;
  readonly clock: () => number;
  writer: WriterChild;
  reader: ReaderChild;
  broker: Child<object, never> | undefined;
  /** Of processes that were killed. */
  framesWritten: number;
  framesVerified: number;
  framesDropped: number;
  framesTorn: number;
  readonly failures: string[];
}

/** Starts a writer. */
export function startWriter(setting: Setting): WriterChild {
  return Child.startScript("writer", [JSON.stringify(setting)]);
}

/** Starts a reader. */
export function startReader(setting: Setting): ReaderChild {
  return Child.startScript("reader", [JSON.stringify(setting)]);
}

/** Resolves after a time. */
export function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
