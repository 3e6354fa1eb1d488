/**
 * Checks whether shared memory works here, and says what to do if it does not. It checks the system, the native
 * library, limits, the broker, an exchange with another process, and that the kernel keeps readers from writing.
 *
 * ```sh
 * deno run -A jsr:@xpc/shmem/doctor
 * deno run -A jsr:@xpc/shmem/doctor --json
 * ```
 *
 * It exits with 1 if something does not work, and with 64 if its arguments are not valid.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { DEFAULT_SERVICE, RELEASE } from "../broker/release.ts";
import { examineBroker } from "./_broker.ts";
import { runChild } from "./_child.ts";
import { examineExchange } from "./exchange.ts";
import { fail, type Finding, type FindingStatus, messageOf } from "./_finding.ts";
import { examineLibrary } from "./_library.ts";
import { examineLimits } from "./_limits.ts";
import { examineSystem } from "./_system.ts";

export type { Finding, FindingStatus };

/** Options of {@linkcode diagnose}. */
export interface DiagnoseOptions {
  /**
   * The broker's Mach service.
   *
   * @default {"io.jsr.xpc.shmem"}
   */
  service?: string | undefined;
  /** Receives each finding as it is made. */
  onFinding?: ((finding: Finding) => void) | undefined;
}

/** The result of {@linkcode diagnose}. */
export interface Diagnosis {
  /** The release of this package. */
  readonly release: string;
  /** Whether nothing failed. */
  readonly ok: boolean;
  /** The findings, in the order in which they were made. */
  readonly findings: readonly Finding[];
}

/**
 * Checks this machine. Needs all permissions, since it starts processes.
 *
 * @param options which broker to ask, and what receives the findings
 * @returns the findings
 * @example
 * ```ts no-eval
 * import { diagnose } from "@xpc/shmem/doctor";
 *
 * const { ok, findings } = await diagnose();
 * if (!ok) console.error(findings.filter(({ status }) => status === "fail"));
 * ```
 */
export async function diagnose(options: DiagnoseOptions = {}): Promise<Diagnosis> {
  const { service = DEFAULT_SERVICE, onFinding } = options;
  const findings: Finding[] = [];
  const add = (found: readonly Finding[]): void => {
    findings.push(...found);
    for (const finding of found) onFinding?.(finding);
  };
  add(examineSystem());
  const { findings: found, library } = await examineLibrary();
  add(found);
  if (library !== undefined) {
    add(await guarded("limits", () => examineLimits(library)));
    add(await guarded("broker", () => examineBroker(service)));
    add(await guarded("exchange", () => examineExchange(service)));
  }
  return { release: RELEASE, ok: findings.every(({ status }) => status !== "fail"), findings };
}

/** Makes a check. If it throws, that is a finding too. */
async function guarded(check: string, examine: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await examine();
  } catch (error) {
    return [fail(check, messageOf(error), "Run the doctor with -A; if it persists, report it")];
  }
}

const USAGE = `Checks whether shared memory works here, and says what to do if it does not.

Usage: deno run -A jsr:@xpc/shmem/doctor [OPTIONS]   (in a checkout: deno task doctor)

  --service NAME   the broker's Mach service (${DEFAULT_SERVICE})
  --json           print JSON
  --help`;

const COLORS: Readonly<Record<FindingStatus, string>> = { ok: "green", warn: "yellow", fail: "red" };

function print({ check, status, found, advice }: Finding): void {
  console.log(`%c${status.padEnd(4)}%c  ${check}: %s`, `color: ${COLORS[status]}`, "", found);
  if (advice !== undefined) console.log("      %s", advice);
}

async function main(): Promise<number> {
  let values: { json?: boolean | undefined; help?: boolean | undefined; service?: string | undefined };
  try {
    const options = {
      json: { type: "boolean" },
      help: { type: "boolean" },
      service: { type: "string" },
    } as const;
    ({ values } = parseArgs({ options, args: Deno.args }));
  } catch (error) {
    console.error(`Cannot understand the arguments: ${messageOf(error)} (see --help)`);
    return 64;
  }
  if (values.help === true) {
    console.log(USAGE);
    return 0;
  }
  const onFinding = values.json === true ? undefined : print;
  const diagnosis = await diagnose({ service: values.service, onFinding });
  if (values.json === true) console.log(JSON.stringify(diagnosis, undefined, 2));
  else console.log(summary(diagnosis));
  return diagnosis.ok ? 0 : 1;
}

function summary({ ok, findings }: Diagnosis): string {
  const count = (status: FindingStatus): number =>
    findings.filter((finding) => finding.status === status).length;
  if (!ok) return `\n${count("fail")} of ${findings.length} checks failed`;
  const warnings = count("warn");
  return warnings === 0
    ? "\nEverything is right"
    : `\nIt works; ${warnings} of ${findings.length} checks warn`;
}

if (import.meta.main) {
  if (Deno.args[0] === "--child") await runChild(Deno.args.slice(1));
  else Deno.exit(await main());
}
