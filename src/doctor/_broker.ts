import { PROTOCOL_VERSION } from "../broker/protocol.ts";
import { RELEASE } from "../broker/release.ts";
import { Connection, ConnectionError, type XpcRecord } from "../xpc/mod.ts";
import { fail, type Finding, messageOf, ok, warn } from "./_finding.ts";

/** How long a broker has to answer, in milliseconds; launchd may have to start it. */
const TIMEOUT = 5000;

const INSTALL =
  "Install the launch agent: deno task agent:install, or deno run -A jsr:@xpc/shmem/agent install";

/** Looks whether a broker is installed, and answers. */
export async function examineBroker(service: string): Promise<Finding[]> {
  const [installed, answer] = await Promise.all([findInstalled(service), ask(service)]);
  return [describeInstalled(installed, answer.status === "ok"), answer];
}

/** The file that tells launchd or systemd of the broker. */
async function findInstalled(service: string): Promise<string | undefined> {
  const home = Deno.env.get("HOME") ?? "";
  const config = Deno.env.get("XDG_CONFIG_HOME") ?? `${home}/.config`;
  const paths = Deno.build.os === "darwin"
    ? [`${home}/Library/LaunchAgents/${service}.plist`]
    : [`${config}/systemd/user/${service}.socket`];
  for (const path of paths) {
    try {
      await Deno.lstat(path);
      return path;
    } catch {
      // Not there, or not for us to see: the broker's answer tells more.
    }
  }
  return undefined;
}

function describeInstalled(path: string | undefined, answers: boolean): Finding {
  if (path !== undefined) return ok("agent", `installed: ${path}`);
  if (Deno.build.os === "linux") {
    return ok("agent", "not installed: on Linux an app becomes the broker by itself");
  }
  if (answers) return warn("agent", "not installed, but a broker answers", INSTALL);
  return fail("agent", "not installed", INSTALL);
}

async function ask(service: string): Promise<Finding> {
  const check = "broker";
  const connection = await Connection.toService(service);
  try {
    const version = BigInt(PROTOCOL_VERSION);
    const hello = await connection.request({ op: "hello", min: version, max: version, name: "doctor" }, {
      timeout: TIMEOUT,
    });
    if (hello["ok"] !== true) {
      return fail(check, String(hello["message"]), `Install the broker of ${RELEASE}`);
    }
    const { euid } = connection.peer;
    if (euid !== Deno.uid()) {
      return fail(check, `user ${euid} runs it`, "See who has taken the name of the service");
    }
    const list = await connection.request({ op: "list" }, { timeout: TIMEOUT });
    return describeBroker(check, hello, list);
  } catch (error) {
    if (error instanceof ConnectionError && Deno.build.os === "linux") {
      return ok(check, `none runs as ${service}: the first app that needs one becomes it`);
    }
    return fail(check, messageOf(error), `See "deno task agent:status". ${INSTALL}`);
  } finally {
    await connection.close();
  }
}

function describeBroker(check: string, hello: XpcRecord, list: XpcRecord): Finding {
  const services = Array.isArray(list["services"]) ? list["services"].length : undefined;
  if (services === undefined) {
    return fail(check, "its list cannot be read", `Install the broker of ${RELEASE}`);
  }
  const release = String(hello["release"]);
  const count = `${services} ${services === 1 ? "service" : "services"}`;
  const found = `${String(hello["broker"])} ${release} as ${String(hello["service"])}, process ${
    String(hello["pid"])
  }, ${count}`;
  return release === RELEASE ? ok(check, found) : warn(check, found, `This is ${RELEASE}. ${INSTALL}`);
}
