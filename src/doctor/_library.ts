import { CHECKSUMS } from "../../ffi/checksums.ts";
import { type Library, load } from "../../ffi/load.ts";
import { hostTarget } from "../../ffi/targets.ts";
import { fail, type Finding, messageOf, ok, warn } from "./_finding.ts";

/** Checks whether the native library can be opened, and which one it is. */
export async function examineLibrary(): Promise<{ findings: Finding[]; library: Library | undefined }> {
  let library: Library;
  try {
    library = await load();
  } catch (error) {
    const advice = import.meta.url.startsWith("file:")
      ? 'Run "deno task build"; where XPC_SHMEM_LIBRARY is set, see that it names a library of this version'
      : "See that jsr.io can be reached, or set XPC_SHMEM_LIBRARY to the path of a library of this version";
    return { findings: [fail("library", messageOf(error), advice)], library: undefined };
  }
  const findings = [
    ok("library", `${library.path}, version ${library.shim.shim_version()} of the shim`),
    await checksum(library),
  ];
  if (!library.shim.shim_wait_is_native()) {
    findings.push(
      warn(
        "waits",
        "this system cannot wait for a word in shared memory",
        "Synchronous waits poll. Use macOS 14.4 or later where they must be quick",
      ),
    );
  }
  return { findings, library };
}

async function checksum(library: Library): Promise<Finding> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await Deno.readFile(library.path);
  } catch (error) {
    return warn("checksum", messageOf(error), "Run the doctor with -A");
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
  const published = CHECKSUMS[hostTarget()?.name ?? ""]?.sha256;
  const found = `SHA-256 ${digest.slice(0, 16)}…`;
  if (digest === published) return ok("checksum", `${found}, that of this release`);
  // A library that was built here has another checksum. The loader has compared what it downloaded.
  return ok(
    "checksum",
    `${found}, a build of its own: this release has ${published?.slice(0, 16) ?? "none"}…`,
  );
}
