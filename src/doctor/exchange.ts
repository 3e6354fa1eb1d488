import { RELEASE } from "../broker/release.ts";
import type { WritableRegion } from "../exchange/region.ts";
import { serve } from "../service/server.ts";
import type { TrespassReport } from "./_child.ts";
import { BYTES, FILLING, MILLISECONDS, REGIONS, STOP } from "./_exchange_words.ts";
import { fail, type Finding, messageOf, ok, warn } from "./_finding.ts";

/** How many numbers the other process has to answer. */
const ROUNDS = 50;

/** Serves a region, and one that clients may only read, and starts processes that use them. */
export async function examineExchange(service: string): Promise<Finding[]> {
  if (Deno.build.standalone) {
    return [warn("exchange", "not tried: this is a compiled program", "Run the doctor with deno itself")];
  }
  const name = `io.jsr.xpc.shmem.doctor-${crypto.randomUUID()}`;
  const signal = AbortSignal.timeout(MILLISECONDS);
  try {
    await using server = await serve(name, {
      broker: { service },
      signal,
      regions: {
        [REGIONS.shared]: { byteLength: BYTES },
        [REGIONS.sealed]: { byteLength: BYTES, clients: "read" },
      },
    });
    const sealed = server.region(REGIONS.sealed);
    sealed.view(Uint8Array).fill(FILLING);
    return [
      await exchange(server.region(REGIONS.shared), child("echo", name, service), signal),
      await trespass(sealed, child("trespass", name, service)),
    ];
  } catch (error) {
    return [fail("exchange", messageOf(error), "See the finding about the broker above")];
  }
}

/** Starts another process of the doctor. */
function child(...args: readonly string[]): Deno.ChildProcess {
  // Only the exports of a package have a name in a registry.
  const isFile = import.meta.url.startsWith("file:");
  const entry = isFile ? new URL("./main.ts", import.meta.url).href : `jsr:@xpc/shmem@${RELEASE}/doctor`;
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", "--no-config", "--no-lock", "--quiet", entry, "--child", ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function exchange(
  region: WritableRegion,
  other: Deno.ChildProcess,
  signal: AbortSignal,
): Promise<Finding> {
  const check = "exchange";
  const output = other.output();
  const ended = new AbortController();
  void output.then(() => ended.abort(new Error("the other process ended")));
  try {
    const times = await ask(region, AbortSignal.any([signal, ended.signal]));
    const median = times.sort((a, b) => a - b)[times.length >> 1] ?? 0;
    const found = `${times.length} round trips with another process, ${
      (median * 1000).toFixed(0)
    } µs each (median)`;
    return ok(check, found);
  } catch (error) {
    const { code, stderr } = await stop(other, output);
    const said = new TextDecoder().decode(stderr).trim().split("\n")[0] ?? "";
    const found = `${messageOf(error)} (exit status ${code}${said === "" ? "" : `: ${said}`})`;
    return fail(
      check,
      found,
      "Look for what keeps processes of one user apart: a sandbox, a container, a firewall",
    );
  } finally {
    region.view(Uint32Array)[0] = STOP;
    region.commit();
    await stop(other, output);
  }
}

/** Measures round trips, in milliseconds. */
async function ask(region: WritableRegion, signal: AbortSignal): Promise<number[]> {
  const words = region.view(Uint32Array);
  const times: number[] = [];
  let asked = performance.now();
  words[0] = 1;
  region.commit();
  for await (const _ of region.changes({ signal })) {
    const [question = 0, answer = 0] = words;
    if (answer !== ~question >>> 0) continue;
    times.push(performance.now() - asked);
    if (times.length === ROUNDS) break;
    asked = performance.now();
    words[0] = question + 1;
    region.commit();
  }
  return times.slice(1); // the first one includes the start of the process
}

/** Waits for the output of a process, and ends the process if it does not end by itself. */
async function stop(
  other: Deno.ChildProcess,
  output: Promise<Deno.CommandOutput>,
): Promise<Deno.CommandOutput> {
  const timer = setTimeout(() => other.kill("SIGKILL"), 2000);
  try {
    return await output;
  } finally {
    clearTimeout(timer);
  }
}

async function trespass(region: WritableRegion, other: Deno.ChildProcess): Promise<Finding> {
  const { signal, code, stdout, stderr } = await other.output();
  const bytes = region.view(Uint8Array);
  return judge(new TextDecoder().decode(stdout), {
    isIntact: bytes.every((byte) => byte === FILLING),
    signal,
    end: signal ?? `exit status ${code}: ${new TextDecoder().decode(stderr).trim().split("\n")[0]}`,
  });
}

/** Judges how a process ended that wrote to memory which it may only read. */
export function judge(
  stdout: string,
  { isIntact, signal, end }: { isIntact: boolean; signal: Deno.Signal | null; end: string },
): Finding {
  const check = "read-only";
  const report = "Do not share with an app that you do not trust, and report this with the output of --json";
  if (!isIntact) return fail(check, "another process changed memory that it may only read", report);
  let said: TrespassReport;
  try {
    said = JSON.parse(stdout) as TrespassReport;
  } catch {
    return fail(
      check,
      `the other process ended before it wrote: ${end}`,
      "See the finding about the exchange above",
    );
  }
  if (!said.read) return fail(check, "another process did not see what is in the memory", report);
  if (!said.refused) return fail(check, "the server let another process open the memory for writing", report);
  if (said.unprotected) {
    return fail(check, "the kernel let another process make its mapping writable", report);
  }
  if (signal !== "SIGSEGV" && signal !== "SIGBUS") {
    return fail(check, `a process that wrote was not stopped: ${end}`, report);
  }
  return ok(check, `a process that wrote got ${signal}, the memory is unharmed, the kernel refuses mprotect`);
}
