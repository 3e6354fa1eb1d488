/** Compiles the party in C: with the headers of libxpc and `shmem_layout.h` alone, linked with the shared library. */
import { fetchZig, runZig } from "../../../ffi/build/zig.ts";
import { hostTarget } from "../../../ffi/targets.ts";

const ROOT = decodeURIComponent(new URL("../../..", import.meta.url).pathname).replace(/\/$/, "");
const SOURCES = [
  "party.c",
  "client.c",
  "server.c",
  "messages.c",
  "memory.c",
  "words.c",
  "tiles.c",
  "locks.c",
  "slots.c",
  "stream_commands.c",
  "channels.c",
  "sha256.c",
];

let compiled: Promise<string> | undefined;
let compiledNative: Promise<string> | undefined;

/** The program, made once in a run. */
export function compileParty(): Promise<string> {
  return compiled ??= compile();
}

/** The party over `xpc_shmem.h`, made once in a run: as a user's program, without blocks. */
export function compileNativeParty(): Promise<string> {
  return compiledNative ??= compileNative();
}

async function compileNative(): Promise<string> {
  const target = hostTarget()!;
  const folder = `${ROOT}/.build/link-native-party`;
  const built = `${ROOT}/.build/${target.name}`;
  await Deno.mkdir(folder, { recursive: true });
  // The header alone, so that nothing else of this project can be included.
  await Deno.copyFile(`${ROOT}/ffi/native/include/xpc_shmem.h`, `${folder}/xpc_shmem.h`);
  const output = `${folder}/party`;
  await runZig(
    await fetchZig({ cache: `${ROOT}/.build/zig-cache` }),
    [
      ...["cc", "-target", target.triple, "-std=c11", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-pthread"],
      ...[`-I${folder}`, `${ROOT}/tests/contract/link/native/party.c`],
      ...[`${built}/${target.library}`, `-Wl,-rpath,${built}`, "-o", output],
    ],
    "compile the party over xpc_shmem.h",
    ROOT,
  );
  return output;
}

async function compile(): Promise<string> {
  const target = hostTarget()!;
  const folder = `${ROOT}/.build/link-party`;
  const built = `${ROOT}/.build/${target.name}`;
  await Deno.mkdir(folder, { recursive: true });
  // The header alone, so that nothing else of this project can be included.
  await Deno.copyFile(`${ROOT}/ffi/native/include/shmem_layout.h`, `${folder}/shmem_layout.h`);
  const output = `${folder}/party`;
  const flags = ["-std=c11", "-fblocks", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-pthread"];
  await runZig(
    await fetchZig({ cache: `${ROOT}/.build/zig-cache` }),
    [
      ...["cc", "-target", target.triple, ...flags],
      ...[`-I${folder}`, `-I${ROOT}/ffi/native/linux/include`],
      ...SOURCES.map((source) => `${ROOT}/tests/contract/link/c/${source}`),
      ...[
        `${built}/${target.library}`,
        `${built}/${target.archive}`,
        `-Wl,-rpath,${built}`,
        "-lm",
        "-o",
        output,
      ],
    ],
    "compile the party in C",
    ROOT,
  );
  return output;
}
