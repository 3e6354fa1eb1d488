import "./_library.ts";
import type { BrokerSelection } from "../broker/broker_client.ts";

/** Options of {@linkcode testSandbox}. */
export interface TestSandboxOptions {
  /**
   * What the names begin with.
   *
   * @default {"test"}
   */
  prefix?: string | undefined;
  /**
   * The broker to use where a test cannot have its own: on macOS only launchd can vend a name.
   *
   * @default {the installed launch agent}
   */
  broker?: BrokerSelection | undefined;
}

/** What {@linkcode testSandbox} gives. */
export interface TestSandbox extends AsyncDisposable {
  /** A service name that nobody else uses; add to it for more names. */
  readonly name: string;
  /** The broker for `serve`, `connect` and `join`: on Linux one that only this sandbox uses. */
  readonly broker: BrokerSelection;
  /** The runtime directory, where the sockets are: `undefined` on macOS, which has none. */
  readonly runtimeDirectory: string | undefined;
  /** What the environment of another process needs in order to take part; empty on macOS. */
  readonly environment: Readonly<Record<string, string>>;
  /** Removes the runtime directory, and puts this process's environment back as it was. Idempotent. */
  close(): Promise<void>;
}

/** The variable that the native library reads each time it connects to a service or listens for one. */
const VARIABLE = "XDG_RUNTIME_DIR";

/**
 * Gives a test a service name, a broker and, on Linux, a runtime directory of its own: nothing that really runs on
 * this machine is seen or disturbed, and nothing stays.
 *
 * The runtime directory is a variable of the environment of the whole process. So make the sandbox before anything
 * connects, close it last, and do not let two tests of one process run at once with a sandbox each.
 *
 * @param options what the names begin with
 * @returns the sandbox
 * @throws {Deno.errors.NotCapable} on Linux without `--allow-env` and `--allow-write`
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { serve } from "@xpc/shmem";
 * import { testSandbox } from "@xpc/shmem/testing";
 *
 * await using sandbox = await testSandbox();
 * const { name, broker } = sandbox;
 * await using server = await serve(name, { broker, regions: { frame: { byteLength: 4096 } } });
 * assertEquals(server.region("frame").byteLength, 4096);
 * ```
 */
export async function testSandbox(options: TestSandboxOptions = {}): Promise<TestSandbox> {
  const { prefix = "test", broker } = options;
  const id = crypto.randomUUID().slice(0, 13);
  const name = `${prefix}.${id}`;
  if (Deno.build.os !== "linux") {
    const nothing = (): Promise<void> => Promise.resolve();
    return {
      name,
      broker: broker ?? {},
      runtimeDirectory: undefined,
      environment: {},
      close: nothing,
      [Symbol.asyncDispose]: nothing,
    };
  }
  // Not in TMPDIR: the path of a socket has at most 107 bytes.
  const runtimeDirectory = await Deno.makeTempDir({ dir: "/tmp", prefix: "xpc-shmem-test-" });
  const before = Deno.env.get(VARIABLE);
  Deno.env.set(VARIABLE, runtimeDirectory);
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    if (closing !== undefined) return closing;
    if (before === undefined) Deno.env.delete(VARIABLE);
    else Deno.env.set(VARIABLE, before);
    return closing = Deno.remove(runtimeDirectory, { recursive: true });
  };
  return {
    name,
    broker: broker ?? { service: `${prefix}.broker.${id}` },
    runtimeDirectory,
    environment: { [VARIABLE]: runtimeDirectory },
    close,
    [Symbol.asyncDispose]: close,
  };
}
