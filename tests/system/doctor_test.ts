import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { judge } from "../../src/doctor/exchange.ts";
import type { Diagnosis, Finding } from "../../src/doctor/main.ts";

const DOCTOR = new URL("../../src/doctor/main.ts", import.meta.url).href;

/** A private folder for the sockets and temporary files of children. */
class Home implements AsyncDisposable {
  private constructor(readonly path: string) {}

  static async create(): Promise<Home> {
    return new Home(await Deno.makeTempDir({ prefix: "xpc-doctor-" })); // mode 0700
  }

  /** Runs the doctor, after a line of the shell. */
  async run(args: string, env: Record<string, string> = {}, before = "true"): Promise<Deno.CommandOutput> {
    const command = `${before} && exec "$0" run -A --no-prompt --no-lock --quiet "${DOCTOR}" ${args}`;
    return await new Deno.Command("/bin/sh", {
      args: ["-c", command, Deno.execPath()],
      env: { XDG_RUNTIME_DIR: this.path, HOME: this.path, XDG_CONFIG_HOME: this.path, NO_COLOR: "1", ...env },
    }).output();
  }

  /** Gives what it says about each check, for a doctor that must end with this status. */
  async examine(status: number, env: Record<string, string> = {}, before?: string): Promise<Findings> {
    const { code, stdout, stderr } = await this.run("--json", env, before);
    assertEquals([code, text(stderr)], [status, ""]);
    const { ok, findings } = JSON.parse(text(stdout)) as Diagnosis;
    assertEquals(ok, status === 0);
    for (const { status, advice } of findings) assertEquals(advice === undefined, status === "ok");
    return (check) => {
      const found = findings.find((finding) => finding.check === check);
      assert(found, `there is a finding about ${check}`);
      return found;
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

type Findings = (check: string) => Finding;

function text(bytes: Uint8Array<ArrayBuffer>): string {
  return new TextDecoder().decode(bytes);
}

const onLinux = { ignore: Deno.build.os !== "linux" };

Deno.test("doctor finds everything right on Linux", onLinux, async () => {
  await using home = await Home.create();
  const found = await home.examine(0);
  assertStringIncludes(found("library").found, "libxpc_shmem");
  assertMatch(found("checksum").found, /^SHA-256 [0-9a-f]{16}…, (that of this release|a build of its own)/);
  assertEquals(found("runtime folder").found, home.path);
  assertStringIncludes(found("exchange").found, "round trips with another process");
  assertMatch(found("read-only").found, /SIG(SEGV|BUS), the memory is unharmed, the kernel refuses mprotect/);
  for (
    const check of ["descriptors", "locked memory", "page size", "memory", "/dev/shm", "doorbell", "agent"]
  ) {
    assertEquals(found(check).status, "ok");
  }
});

Deno.test("doctor prints a line for each check, and a summary", onLinux, async () => {
  await using home = await Home.create();
  const { code, stdout } = await home.run("");
  assertEquals(code, 0);
  const lines = text(stdout).trimEnd().split("\n");
  assertMatch(lines[0]!, /^ok {4}system: linux/);
  assertMatch(lines.at(-1)!, /^(Everything is right|It works; )/);
});

Deno.test("doctor leaves nothing behind but the names' folder", onLinux, async () => {
  await using home = await Home.create();
  const temporary = await Deno.makeTempDir({ dir: home.path });
  await home.examine(0, { TMPDIR: temporary }, `cd ${temporary}`);
  assertEquals((await Array.fromAsync(Deno.readDir(temporary))).map(({ name }) => name), []);
});

Deno.test("doctor tells of the broker that answers", onLinux, async () => {
  await using home = await Home.create();
  const broker = new URL("../../src/broker/broker.ts", import.meta.url).href;
  const program = `import { Broker } from "${broker}"; await Broker.start(); console.log("ready");`;
  await using process = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-lock", "--quiet", program],
    env: { XDG_RUNTIME_DIR: home.path },
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const reader = process.stdout.getReader();
  assertEquals(text((await reader.read()).value!), "ready\n");
  const found = await home.examine(0);
  assertMatch(found("broker").found, new RegExp(`^embedded .*, process ${process.pid}, 0 services$`));
  process.kill();
  await reader.cancel();
});

Deno.test("doctor fails where the library is missing, and says what to do", async () => {
  await using home = await Home.create();
  const found = await home.examine(1, { XPC_SHMEM_LIBRARY: "/nowhere/libxpc_shmem.so" });
  const { status, found: reason, advice } = found("library");
  assertEquals(status, "fail");
  assertStringIncludes(reason, "/nowhere/libxpc_shmem.so");
  assertStringIncludes(advice!, "deno task build");
});

Deno.test("doctor warns of few descriptors", onLinux, async () => {
  await using home = await Home.create();
  const { status, found, advice } = (await home.examine(0, {}, "ulimit -n 128"))("descriptors");
  assertEquals([status, found], ["warn", "128, at most 128"]);
  assertStringIncludes(advice!, "ulimit -n");
});

Deno.test("doctor fails where others can enter the runtime folder", onLinux, async () => {
  await using home = await Home.create();
  const open = `${home.path}/open`;
  await Deno.mkdir(open);
  await Deno.chmod(open, 0o755);
  const { status, found } = (await home.examine(1, { XDG_RUNTIME_DIR: open }))("runtime folder");
  assertEquals(status, "fail");
  assertStringIncludes(found, `others can enter ${open} (mode 0755)`);
});

Deno.test("doctor refuses arguments that it does not know", async () => {
  await using home = await Home.create();
  const { code, stdout, stderr } = await home.run("--jsno");
  assertEquals([code, text(stdout)], [64, ""]);
  assertStringIncludes(text(stderr), "--jsno");
});

Deno.test("doctor prints its usage", async () => {
  await using home = await Home.create();
  const { code, stdout } = await home.run("--help");
  assertEquals(code, 0);
  assertStringIncludes(text(stdout), "jsr:@xpc/shmem/doctor");
});

const HONEST = JSON.stringify({ refused: true, read: true, unprotected: false });
const KILLED = { isIntact: true, signal: "SIGSEGV", end: "SIGSEGV" } as const;

Deno.test("judge() accepts only a write that was stopped by the kernel", () => {
  assertEquals(judge(HONEST, KILLED).status, "ok");
  assertEquals(judge(HONEST, { ...KILLED, signal: "SIGBUS", end: "SIGBUS" }).status, "ok");
  const faults = [
    judge(HONEST, { ...KILLED, isIntact: false }),
    judge(HONEST, { ...KILLED, signal: null, end: "exit status 0" }),
    judge(HONEST, { ...KILLED, signal: "SIGKILL", end: "SIGKILL" }),
    judge("", { ...KILLED, signal: null, end: "exit status 1" }),
    judge(HONEST.replace('"refused":true', '"refused":false'), KILLED),
    judge(HONEST.replace('"read":true', '"read":false'), KILLED),
    judge(HONEST.replace('"unprotected":false', '"unprotected":true'), KILLED),
  ];
  for (const { status, advice } of faults) {
    assertEquals(status, "fail");
    assert(advice);
  }
});
