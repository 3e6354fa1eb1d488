/**
 * Installs what an app in C or C++ needs: `deno task build --install PREFIX`.
 *
 * @module
 */

import { compileFlags, plan } from "./build_target.ts";
import { fetchZig, runZig } from "./zig.ts";
import type { Target } from "../targets.ts";

/** Options of {@linkcode install}. */
export interface InstallOptions {
  /** The project's folder. */
  root: string;
  /** What to install for: this system. */
  target: Target;
  /** The folder that gets `include` and `lib`. */
  prefix: string;
}

const PC = (prefix: string, version: string): string =>
  `prefix=${prefix}
includedir=\${prefix}/include
libdir=\${prefix}/lib

Name: xpc_shmem
Description: Memory shared between apps, in Deno, C and C++
Version: ${version}
Cflags: -I\${includedir}
Libs: -L\${libdir} -lxpc_shmem
Libs.private: -pthread
`;

const CMAKE = (library: string): string =>
  `# Defines xpc_shmem::xpc_shmem, the shared library, and xpc_shmem::static.
find_package(Threads REQUIRED)
get_filename_component(_xpc_shmem_prefix "\${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
foreach(_xpc_shmem_kind "xpc_shmem;SHARED;${library}" "static;STATIC;libxpc_shmem.a")
  list(GET _xpc_shmem_kind 0 _xpc_shmem_name)
  list(GET _xpc_shmem_kind 1 _xpc_shmem_type)
  list(GET _xpc_shmem_kind 2 _xpc_shmem_file)
  if(NOT TARGET xpc_shmem::\${_xpc_shmem_name})
    add_library(xpc_shmem::\${_xpc_shmem_name} \${_xpc_shmem_type} IMPORTED)
    set_target_properties(xpc_shmem::\${_xpc_shmem_name} PROPERTIES
      IMPORTED_LOCATION "\${_xpc_shmem_prefix}/lib/\${_xpc_shmem_file}"
      INTERFACE_INCLUDE_DIRECTORIES "\${_xpc_shmem_prefix}/include"
      INTERFACE_LINK_LIBRARIES Threads::Threads)
  endif()
endforeach()
`;

/** Compiles all sources of a target into a static archive. */
async function makeArchive({ root, target }: InstallOptions, archive: string): Promise<void> {
  const zig = await fetchZig({ cache: `${root}/.build/zig-cache` });
  const work = await Deno.makeTempDir({ prefix: "xpc-shmem-archive-" });
  try {
    const { sources } = await plan(root, target);
    const objects: string[] = [];
    for (const source of sources) {
      // With its folder: two folders may have files of one name.
      const object = `${work}/${
        source.slice("ffi/native/".length).replaceAll("/", "-").replace(/\.c$/, ".o")
      }`;
      const args = ["cc", ...compileFlags(target), "-c", source, "-o", object];
      await runZig(zig, args, `compile ${source} for the static archive`, root);
      objects.push(object);
    }
    await Deno.remove(archive).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
    await runZig(zig, ["ar", "rcsD", archive, ...objects], `make ${archive}`, root);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

/**
 * Installs the header, the shared library, a static archive, and what pkg-config and CMake read. The library must have
 * been built.
 *
 * @param options from where and to where
 * @returns the paths of the files
 * @throws {BuildError} if the archive cannot be made
 */
export async function install(options: InstallOptions): Promise<string[]> {
  const { root, target } = options;
  await Deno.mkdir(options.prefix, { recursive: true });
  const prefix = await Deno.realPath(options.prefix);
  const { version } = JSON.parse(await Deno.readTextFile(`${root}/deno.json`)) as { version: string };
  for (const folder of ["include", "lib/pkgconfig", "lib/cmake/xpc_shmem"]) {
    await Deno.mkdir(`${prefix}/${folder}`, { recursive: true });
  }
  const header = `${prefix}/include/xpc_shmem.h`;
  const library = `${prefix}/lib/${target.library}`;
  const archive = `${prefix}/lib/libxpc_shmem.a`;
  const pkgConfig = `${prefix}/lib/pkgconfig/xpc_shmem.pc`;
  const cmake = `${prefix}/lib/cmake/xpc_shmem/xpc_shmem-config.cmake`;
  await Deno.copyFile(`${root}/ffi/native/include/xpc_shmem.h`, header);
  // A new file in the place of the old one, which programs that run have mapped.
  await Deno.copyFile(`${root}/.build/${target.name}/${target.library}`, `${library}.new`);
  await Deno.rename(`${library}.new`, library);
  await makeArchive(options, archive);
  await Deno.writeTextFile(pkgConfig, PC(prefix, version));
  await Deno.writeTextFile(cmake, CMAKE(target.library));
  return [header, library, archive, pkgConfig, cmake];
}
