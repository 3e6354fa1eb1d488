/** The result of a check: `ok`; `warn`, it works but not as well as it could; `fail`, it does not work. */
export type FindingStatus = "ok" | "warn" | "fail";

/** What one check found. */
export interface Finding {
  /** What was checked, such as "library". */
  readonly check: string;
  /** The result. */
  readonly status: FindingStatus;
  /** What was found. */
  readonly found: string;
  /** What to do about it; only if the result is not `ok`. */
  readonly advice?: string;
}

/** Makes the finding of something that works. */
export function ok(check: string, found: string): Finding {
  return { check, status: "ok", found };
}

/** Makes the finding of something that works, but not as well as it could. */
export function warn(check: string, found: string, advice: string): Finding {
  return { check, status: "warn", found, advice };
}

/** Makes the finding of something that does not work. */
export function fail(check: string, found: string, advice: string): Finding {
  return { check, status: "fail", found, advice };
}

/** The message of an error, on one line. */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replaceAll(/\s*\n\s*/g, " ");
}

/** Formats a length in bytes. */
export function sizeOf(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  const power = bytes < 1024 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1);
  return `${Number((bytes / 1024 ** power).toFixed(1))} ${units[power]}`;
}
