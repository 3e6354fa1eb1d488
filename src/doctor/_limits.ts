import { statfsSync } from "node:fs";
import type { Library } from "../../ffi/load.ts";
import { findRuntimeFolder } from "../broker/runtime_folder.ts";
import { Doorbell } from "../sync/doorbell.ts";
import { EventQueue } from "../xpc/event_queue.ts";
import { fail, type Finding, messageOf, ok, sizeOf, warn } from "./_finding.ts";

/** Below these, eight regions of 100 MiB and some clients may not fit. */
const FEW_DESCRIPTORS = 256;
const LITTLE_MEMORY = 2 ** 30;

/** Checks what the system allows this process. */
export async function examineLimits(library: Library): Promise<Finding[]> {
  const findings = [memory(), ...await ulimits(), pages(library)];
  if (Deno.build.os === "linux") findings.push(sharedMemory(), runtimeFolder());
  findings.push(await doorbell());
  return findings;
}

function memory(): Finding {
  const { total, available } = Deno.systemMemoryInfo();
  const found = `${sizeOf(available)} of ${sizeOf(total)} available`;
  if (available >= LITTLE_MEMORY) return ok("memory", found);
  return warn("memory", found, "Regions are memory: close other programs, or make regions smaller");
}

/** Reads the limits in a shell: it inherits them from Deno, which raises the soft limit to the hard one. */
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

/** Where the kernel has huge pages, `prefault` asks for them. */
function pages(library: Library): Finding {
  const small = sizeOf(Number(library.shim.shim_memory_page_size()));
  try {
    const bytes = Number(Deno.readTextFileSync("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"));
    return ok("page size", `${small}, and huge pages of ${sizeOf(bytes)} for regions with \`prefault\``);
  } catch {
    return ok("page size", small); // another system, or a kernel without them
  }
}

/** Regions are memfds, which take no room here. Other programs fail when it is full, so the room is reported. */
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

/** Checks the folder of the sockets on Linux. The library refuses one that others can enter or change. */
function runtimeFolder(): Finding {
  const check = "runtime folder";
  const { path, base, fault } = findRuntimeFolder();
  const advice = "Set XDG_RUNTIME_DIR to a folder of your own with mode 0700, for all apps alike";
  if (fault !== undefined) return fail(check, fault, advice);
  return ok(
    check,
    base === Deno.env.get("XDG_RUNTIME_DIR") ? base : `${path}, as XDG_RUNTIME_DIR is not set`,
  );
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
