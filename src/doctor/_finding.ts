/** How a check went: fine; it works but not as well as it could; it does not work. */
export type FindingStatus = "ok" | "warn" | "fail";

/** What one check found. */
export interface Finding {
  /** What was looked at, such as "library". */
  readonly check: string;
  /** How it went. */
  readonly status: FindingStatus;
  /** What was found. */
  readonly found: string;
  /** What to do about it; absent where all is well. */
  readonly advice?: string;
}

/** All is well. */
export function ok(check: string, found: string): Finding {
  return { check, status: "ok", found };
}

/** It works, but not as well as it could. */
export function warn(check: string, found: string, advice: string): Finding {
  return { check, status: "warn", found, advice };
}

/** It does not work. */
export function fail(check: string, found: string, advice: string): Finding {
  return { check, status: "fail", found, advice };
}

/** What an error says, on one line. */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replaceAll(/\s*\n\s*/g, " ");
}

/** A length in bytes, for people. */
export function sizeOf(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  const power = bytes < 1024 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1);
  return `${Number((bytes / 1024 ** power).toFixed(1))} ${units[power]}`;
}
