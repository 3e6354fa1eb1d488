import { BrokerConnection, ForeignBrokerError, HELLO_TIMEOUT } from "../broker/broker_connection.ts";
import { darwinPaths, linuxPaths } from "../broker/install_paths.ts";
import { RELEASE } from "../broker/release.ts";
import { type BrokerIdentity, InvalidReplyError, RefusedError } from "../broker/replies.ts";
import { ConnectionError } from "../xpc/mod.ts";
import { fail, type Finding, messageOf, ok, warn } from "./_finding.ts";

const INSTALL =
  "Install the launch agent: deno task agent:install, or deno run -A jsr:@xpc/shmem/agent install";

/** Checks whether a broker is installed, and whether it answers. */
export async function examineBroker(service: string): Promise<Finding[]> {
  const [installed, answer] = await Promise.all([findInstalled(service), ask(service)]);
  return [describeInstalled(installed, answer.status === "ok"), answer];
}

/** The file that tells launchd or systemd of the broker, if it is installed. */
async function findInstalled(service: string): Promise<string | undefined> {
  const home = Deno.env.get("HOME") ?? "";
  const path = Deno.build.os === "darwin"
    ? darwinPaths(home, service).list
    : linuxPaths(home, service).socket;
  try {
    await Deno.lstat(path);
    return path;
  } catch {
    return undefined; // not installed, or not readable: whether the broker answers tells more
  }
}

function describeInstalled(path: string | undefined, answers: boolean): Finding {
  if (path !== undefined) return ok("agent", `installed: ${path}`);
  if (Deno.build.os === "linux") {
    return ok("agent", "not installed: on Linux an app becomes the broker by itself");
  }
  if (answers) return warn("agent", "not installed, but a broker answers", INSTALL);
  return fail("agent", "not installed", INSTALL);
}

/** Asks the broker who it is and what is registered. */
async function ask(service: string): Promise<Finding> {
  const check = "broker";
  try {
    await using connection = await BrokerConnection.open(service, { name: "doctor" });
    const { length } = await connection.list({ timeout: HELLO_TIMEOUT });
    return describeBroker(check, connection.identity, length);
  } catch (error) {
    if (error instanceof ConnectionError && Deno.build.os === "linux") {
      return ok(check, `none runs as ${service}: the first app that needs one becomes it`);
    }
    if (error instanceof ForeignBrokerError) {
      return fail(check, error.message, "See who has taken the name of the service");
    }
    if (error instanceof RefusedError || error instanceof InvalidReplyError) {
      return fail(check, error.message, `Install the broker of ${RELEASE}`);
    }
    return fail(check, messageOf(error), `See "deno task agent:status". ${INSTALL}`);
  }
}

function describeBroker(check: string, identity: BrokerIdentity, services: number): Finding {
  const { broker, release, service, pid } = identity;
  const count = `${services} ${services === 1 ? "service" : "services"}`;
  const found = `${broker} ${release} as ${service}, process ${pid}, ${count}`;
  return release === RELEASE ? ok(check, found) : warn(check, found, `This is ${RELEASE}. ${INSTALL}`);
}
