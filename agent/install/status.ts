import { HELLO_TIMEOUT } from "../../src/broker/broker_connection.ts";
import { type FoundService, RefusedError } from "../../src/broker/replies.ts";
import { describe, type RegionDescription } from "../../src/service/describe.ts";
import { ConnectionError } from "../../src/xpc/mod.ts";
import { AgentError } from "./machine.ts";
import { askBroker, connectToBroker } from "./prove.ts";
import { EXIT } from "./run.ts";

/** How long the broker and the apps may take to answer a request, in milliseconds. */
const TIMEOUT = 2000;

/** How long hello may take: on macOS, launchd may have to start the broker. */
const CONNECT_TIMEOUT = Deno.build.os === "darwin" ? HELLO_TIMEOUT : TIMEOUT;

/** An app that serves a name. */
export interface ServiceStatus {
  /** The name. */
  readonly name: string;
  /** The app's process. */
  readonly pid: number;
  /** The generation of the registration. */
  readonly generation: number;
  /** When it was registered, in the form of ISO 8601. */
  readonly since: string;
  /** Its regions; `null` if it does not answer, or does not use this library. */
  readonly regions: readonly RegionDescription[] | null;
}

/** The state of a broker and of the apps that are registered there. */
export interface BrokerStatus {
  /** The broker's Mach service. */
  readonly service: string;
  /** The implementation. */
  readonly broker: string;
  /** The release of its package. */
  readonly release: string;
  /** Its process. */
  readonly pid: number;
  /** How long it has run, in milliseconds. */
  readonly uptime: number;
  /** How many peers are connected. */
  readonly peers: number;
  /** How many lookups wait. */
  readonly waiting: number;
  /** The apps that are registered. */
  readonly services: readonly ServiceStatus[];
}

/**
 * Asks a broker for its state, and each app that is registered there for its regions.
 *
 * @param service the broker's Mach service
 * @returns what they answer
 * @throws {AgentError} if no broker answers, or what answers is not one
 */
export async function brokerStatus(service: string): Promise<BrokerStatus> {
  await using connection = await connectToBroker(service, CONNECT_TIMEOUT);
  if (connection === undefined) {
    throw new AgentError(
      `Cannot ask the broker: nobody answers as ${service}. ` +
        (Deno.build.os === "linux"
          ? "The first app that needs a broker runs one itself; deno task agent:install makes systemd run it"
          : "Install it: deno task agent:install"),
    );
  }
  const options = { timeout: TIMEOUT };
  return await askBroker(connection, async () => {
    const { service, broker, release, pid, uptime, peers, waiting } = await connection.status(options);
    const services = await Promise.all((await connection.list(options)).map(async (listed) => {
      const { name, pid, generation, since } = listed;
      const found = await connection.lookup({ name }, options).catch(ignoreRefusal);
      return { name, pid, generation, since: since.toISOString(), regions: await regionsOf(found) };
    }));
    return { service, broker, release, pid, uptime, peers, waiting, services };
  });
}

/** The broker refuses to find an app that has left since it was listed. */
function ignoreRefusal(error: unknown): undefined {
  if (!(error instanceof RefusedError)) throw error;
}

async function regionsOf(found: FoundService | undefined): Promise<RegionDescription[] | null> {
  if (found === undefined) return null;
  using endpoint = found.endpoint;
  try {
    return await describe(endpoint, TIMEOUT);
  } catch (error) {
    const isSilent = error instanceof ConnectionError ||
      error instanceof DOMException && error.name === "TimeoutError";
    if (isSilent) return null;
    throw error;
  }
}

/** Formats the state of a broker as a table. */
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

/** Prints the state of a broker; returns the exit status. */
export async function status(service: string, asJson: boolean): Promise<number> {
  const found = await brokerStatus(service);
  console.log(asJson ? JSON.stringify(found, undefined, 2) : statusTable(found));
  return EXIT.success;
}
