import { hostTarget, OLDEST_MACOS } from "../../ffi/targets.ts";
import { fail, type Finding, ok, warn } from "./_finding.ts";

/** The oldest version of Deno that the tests ran with. */
const TRIED_DENO = [2, 9] as const;

/** Linux 5.1 brought the seal that keeps readers from writing. */
const OLDEST_LINUX = [5, 1] as const;

/** The release of Darwin in macOS 13; each macOS has the next. */
const OLDEST_DARWIN = [22, 0] as const;

/** Checks the system and Deno. */
export function examineSystem(): Finding[] {
  return [system(), deno()];
}

function system(): Finding {
  const { os, arch } = Deno.build;
  const release = Deno.osRelease();
  const found = `${os} ${release} on ${arch}`;
  if (hostTarget() === undefined) {
    return fail("system", found, "There is no library for it: use macOS or Linux (glibc), arm64 or x64");
  }
  if (os === "linux" && isBefore(release, OLDEST_LINUX)) {
    return fail(
      "system",
      found,
      `Use Linux ${OLDEST_LINUX.join(".")} or later: this one cannot seal memory against writing`,
    );
  }
  if (os === "darwin" && isBefore(release, OLDEST_DARWIN)) {
    return fail("system", found, `Use macOS ${OLDEST_MACOS} or later`);
  }
  return ok("system", found);
}

function deno(): Finding {
  const { deno, v8 } = Deno.version;
  const found = `Deno ${deno}, V8 ${v8}`;
  if (!isBefore(deno, TRIED_DENO)) return ok("deno", found);
  return warn("deno", found, `Tested with Deno ${TRIED_DENO.join(".")} and later: run "deno upgrade"`);
}

/** Whether a version such as "5.10.0-rc1" is lower than another. */
function isBefore(version: string, [major, minor]: readonly [number, number]): boolean {
  const [ourMajor = 0, ourMinor = 0] = version.split(".").map((part) => Number.parseInt(part));
  return ourMajor < major || ourMajor === major && ourMinor < minor;
}
