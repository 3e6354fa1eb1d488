import { describe, type RegionDescription } from "../../src/service/client.ts";
import { Endpoint } from "../../src/xpc/endpoint.ts";
import { ConnectionError, type XpcRecord } from "../../src/xpc/mod.ts";
import { AgentError } from "./machine.ts";
import { greet } from "./prove.ts";
import { EXIT } from "./run.ts";

/** How long broker and apps may take to answer, in milliseconds. */
const TIMEOUT = 2000;

/** An app that serves a name. */
export interface ServiceStatus {
  readonly name: string;
  readonly pid: number;
  readonly generation: number;
  /** Since when, as in ISO 8601. */
  readonly since: string;
  /** Its regions; nothing if it does not answer, or is none of this library's. */
  readonly regions: readonly RegionDescription[] | null;
}

/** What a broker and those who serve tell. */
export interface BrokerStatus {
  readonly service: string;
  readonly broker: string;
  readonly release: string;
  readonly pid: number;
  /** In milliseconds. */
  readonly uptime: number;
  readonly peers: number;
  readonly waiting: number;
  readonly services: readonly ServiceStatus[];
}

/**
 * Asks a broker, and each app that is registered there.
 *
 * @param service the broker's Mach service
 * @returns what they say
 * @throws {AgentError} if there is no broker, or it does not answer as one
 */
export async function brokerStatus(service: string): Promise<BrokerStatus> {
  await using greeting = await greet(service, TIMEOUT);
  if (greeting === undefined) {
    throw new AgentError(
      `Cannot ask the broker: nobody answers as ${service}. ` +
        (Deno.build.os === "linux"
          ? "The first app that needs a broker runs one itself; deno task agent:install makes systemd run it"
          : "Install it: deno task agent:install"),
    );
  }
  const { connection, identity } = greeting;
  if (identity["ok"] !== true) {
    throw new AgentError(`Cannot ask the broker: it answers "${identity["message"]}"`);
  }
  const ask = (record: XpcRecord): Promise<XpcRecord> => connection.request(record, { timeout: TIMEOUT });
  const status = await ask({ op: "status" });
  const list = (await ask({ op: "list" }))["services"];
  const services = await Promise.all((Array.isArray(list) ? list : []).map(async (entry: XpcRecord) => {
    const { name, pid, generation, since } = entry;
    return {
      name: String(name),
      pid: Number(pid),
      generation: Number(generation),
      since: since instanceof Date ? since.toISOString() : "",
      regions: await regionsOf((await ask({ op: "lookup", name }))["endpoint"]),
    };
  }));
  return {
    service: String(status["service"]),
    broker: String(status["broker"]),
    release: String(status["release"]),
    pid: Number(status["pid"]),
    uptime: Number(status["uptime"]),
    peers: Number(status["peers"]),
    waiting: Number(status["waiting"]),
    services,
  };
}

async function regionsOf(endpoint: unknown): Promise<RegionDescription[] | null> {
  if (!(endpoint instanceof Endpoint)) return null; // it has left since
  using _ = endpoint;
  try {
    return await describe(endpoint, TIMEOUT);
  } catch (error) {
    const isSilent = error instanceof ConnectionError ||
      error instanceof DOMException && error.name === "TimeoutError";
    if (isSilent) return null;
    throw error;
  }
}

/** The status as a table. */
function statusTable(status: BrokerStatus): string {
  const { service, broker, release, pid, uptime, peers, waiting, services } = status;
  const lines = [
    `${service}: the ${broker} broker ${release}, process ${pid}, up ${duration(uptime)}`,
    `${count(peers, "peer")}, ${count(waiting, "waiting lookup")}, ${count(services.length, "service")}`,
  ];
  if (services.length === 0) return lines.join("\n");
  const rows = [["SERVICE", "PID", "SINCE", "REGION", "BYTES", "CLIENTS", "GENERATION", "REVISION"]];
  for (const { name, pid, since, regions } of services) {
    const app = [name, `${pid}`, since];
    if (regions === null || regions.length === 0) {
      rows.push([...app, regions === null ? "(no answer)" : "(none)"]);
    }
    for (const [index, region] of (regions ?? []).entries()) {
      const { name, byteLength, clients, generation, revision } = region;
      rows.push([
        ...index === 0 ? app : ["", "", ""],
        name,
        `${byteLength}`,
        clients,
        `${generation}`,
        `${revision}`,
      ]);
    }
  }
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const table = rows.map((row) =>
    row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd()
  );
  return [...lines, "", ...table].join("\n");
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

function duration(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  const parts = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]] as const;
  const first = parts.findIndex(([length]) => seconds >= length);
  if (first < 0) return "0 s";
  let rest = seconds;
  return parts.slice(first, first + 2).map(([length, unit]) => {
    const number = Math.floor(rest / length);
    rest %= length;
    return `${number} ${unit}`;
  }).join(" ");
}

/** Prints the status; the exit status. */
export async function status(service: string, asJson: boolean): Promise<number> {
  const found = await brokerStatus(service);
  console.log(asJson ? JSON.stringify(found, undefined, 2) : statusTable(found));
  return EXIT.success;
}
