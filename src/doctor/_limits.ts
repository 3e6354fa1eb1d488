import { statfsSync } from "node:fs";
import type { Library } from "../../ffi/load.ts";
import { Doorbell } from "../sync/doorbell.ts";
import { EventQueue } from "../xpc/event_queue.ts";
import { fail, type Finding, messageOf, ok, sizeOf, warn } from "./_finding.ts";

/** Below these the main job, eight regions of 100 MiB and some clients, is in danger. */
const FEW_DESCRIPTORS = 256;
const LITTLE_MEMORY = 2 ** 30;

/** Looks at what the system allows this process. */
export async function examineLimits(library: Library): Promise<Finding[]> {
  const findings = [memory(), ...await ulimits(), pages(library)];
  if (Deno.build.os === "linux") findings.push(sharedMemory(), await runtimeFolder());
  findings.push(await doorbell());
  return findings;
}

function memory(): Finding {
  const { total, available } = Deno.systemMemoryInfo();
  const found = `${sizeOf(available)} of ${sizeOf(total)} available`;
  if (available >= LITTLE_MEMORY) return ok("memory", found);
  return warn("memory", found, "Regions are memory: close other programs, or make regions smaller");
}

/** Deno raises the soft limit to the hard one, so what a shell that it starts says holds for it. */
async function ulimits(): Promise<Finding[]> {
  const command = new Deno.Command("/bin/sh", {
    args: ["-c", "ulimit -n; ulimit -Hn; ulimit -l"],
    stderr: "null",
  });
  const [descriptors = "", most = "", locked = ""] = new TextDecoder().decode((await command.output()).stdout)
    .split("\n");
  const found = `${descriptors}, at most ${most}`;
  return [
    Number(descriptors) < FEW_DESCRIPTORS
      ? warn("descriptors", found, `Each connection and region takes some: run "ulimit -n 4096" before Deno`)
      : ok("descriptors", found),
    ok(
      "locked memory",
      `${locked === "unlimited" ? locked : sizeOf(Number(locked) * 1024)}; regions are not locked`,
    ),
  ];
}

function pages(library: Library): Finding {
  return ok("page size", sizeOf(Number(library.shim.shim_memory_page_size())));
}

/** Regions are memfds, which need no room here; a full one is told because other programs fail by it. */
function sharedMemory(): Finding {
  try {
    const { bsize, bavail, blocks } = statfsSync("/dev/shm");
    return ok(
      "/dev/shm",
      `${sizeOf(bavail * bsize)} of ${sizeOf(blocks * bsize)} free; regions do not use it`,
    );
  } catch {
    return ok("/dev/shm", "there is none; regions do not use it");
  }
}

/** Where names live on Linux: a folder that only the user can enter. The library chooses in this order. */
async function runtimeFolder(): Promise<Finding> {
  const check = "runtime folder";
  const uid = Deno.uid();
  const named = Deno.env.get("XDG_RUNTIME_DIR");
  const against = named === undefined ? "it is not set" : await reasonAgainst(named);
  if (named !== undefined && against === undefined) return ok(check, named);
  const user = `/run/user/${uid}`;
  const place = await reasonAgainst(user) === undefined ? user : `/tmp/xpc-shmem-${uid}`;
  const reason = await reasonAgainst(place);
  if (reason !== undefined && reason !== MISSING) {
    const advice = "Remove it, or set XDG_RUNTIME_DIR to a folder of your own with mode 0700";
    return fail(check, `${place} cannot be used: ${reason}`, advice);
  }
  if (named === undefined) return ok(check, `${place}, as XDG_RUNTIME_DIR is not set`);
  return warn(
    check,
    `${place}, as ${named} cannot be used: ${against}`,
    "Set XDG_RUNTIME_DIR to a folder of your own with mode 0700, or unset it, for all apps alike",
  );
}

/** The library makes what is missing. */
const MISSING = "it does not exist";

async function reasonAgainst(path: string): Promise<string | undefined> {
  if (!path.startsWith("/")) return "its path is not absolute";
  try {
    const { isDirectory, uid, mode } = await Deno.lstat(path);
    if (!isDirectory) return "it is no directory";
    if (uid !== Deno.uid()) return `it belongs to user ${uid}`;
    if (((mode ?? 0) & 0o077) !== 0) {
      return `others can enter it (mode 0${((mode ?? 0) & 0o777).toString(8)})`;
    }
    return undefined;
  } catch (error) {
    return error instanceof Deno.errors.NotFound ? MISSING : messageOf(error);
  }
}

/** A socket wakes the event loop: makes one as a client does. */
async function doorbell(): Promise<Finding> {
  const check = "doorbell";
  try {
    const queue = await EventQueue.acquire();
    try {
      const made = await Doorbell.open(queue, () => {});
      await made.close();
    } finally {
      await queue.release();
    }
    return ok(check, "a socket wakes the event loop");
  } catch (error) {
    return warn(check, messageOf(error), "Waits work all the same, on a native thread, but wake later");
  }
}
