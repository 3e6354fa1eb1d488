/** What installing writes and prints: property lists, units, dry runs; and systemd's socket activation. */
import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { parse } from "npm:plist@5.0.0";
import { type Arguments, parseArguments, UsageError } from "../../agent/install/arguments.ts";
import { installOnDarwin, uninstallOnDarwin } from "../../agent/install/darwin.ts";
import { logCommands } from "../../agent/install/logs.ts";
import { Machine } from "../../agent/install/machine.ts";
import { propertyList } from "../../agent/install/plist.ts";
import { findRuntimeFolder, socketName } from "../../src/broker/runtime_folder.ts";
import { installOnLinux, serviceUnit, socketUnit, uninstallOnLinux } from "../../agent/install/systemd.ts";
import { load } from "../../ffi/load.ts";
import {
  answers,
  BrokerProcess,
  EMBEDDED,
  removeTraces,
  SWIFT,
  uniqueService,
} from "../contract/broker/brokers.ts";
import { Peer } from "../contract/broker/peer.ts";
import { Child } from "../contract/broker/process.ts";
import { App } from "../support/process.ts";
import { serviceSocketPath } from "../support/socket_path.ts";

await load();

const ROOT = decodeURIComponent(new URL("../..", import.meta.url).pathname).replace(/\/$/, "");
/** Deno's cache, which it would look for in another home. */
const DENO_DIR = Deno.env.get("DENO_DIR") ??
  `${Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`}/deno`;
const isLinux = Deno.build.os === "linux";
const lint = Deno.env.get("XPC_SHMEM_PLUTIL")?.split(/\s+/);
const has = async (program: string): Promise<boolean> => {
  try {
    return (await new Deno.Command(program, { args: ["--version"], stdout: "null", stderr: "null" }).output())
      .success;
  } catch {
    return false;
  }
};

const NAMES = ["io.jsr.xpc.shmem", "a", `${"n".repeat(127)}-`, "_-.", "com.example.Studio-2"];
const PATHS = [
  "/usr/local/bin/agent",
  "/Users/me/Library/Application Support/a b/agent",
  `/Users/O'Brien "Zoë"/名前/agent`,
  "/Users/a&b <c>/]]>/&amp;/agent",
  "/back\\slash/100%/$HOME/{x}/agent",
];

Deno.test("propertyList() says the same when it is read back, for any name and path", async () => {
  for (const service of NAMES) {
    for (const path of PATHS) {
      for (const background of [false, true]) {
        const agent = {
          service,
          command: [path, "--service", service, `anchor "a" & 'b'`],
          environment: { X: path },
          log: path,
        };
        assertEquals<unknown>(parse(await propertyList({ ...agent, background })), {
          Label: service,
          ProgramArguments: agent.command,
          MachServices: { [service]: true },
          ProcessType: "Adaptive",
          EnvironmentVariables: { X: path },
          StandardErrorPath: path,
          ...background ? { LimitLoadToSessionType: "Background" } : {},
        });
      }
    }
  }
});

Deno.test({
  name: "plutil -lint passes property lists for any name and path" +
    (lint === undefined ? " (skipped: XPC_SHMEM_PLUTIL names no plutil)" : ""),
  ignore: lint === undefined,
}, async () => {
  const [program = "", ...args] = lint ?? [];
  for (const service of NAMES) {
    for (const path of PATHS) {
      const list = await propertyList({
        service,
        command: [path],
        environment: { X: path },
        log: path,
        background: true,
      });
      const child = new Deno.Command(program, {
        args: [...args, "-lint", "--", "-"],
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      const writer = child.stdin.getWriter();
      await writer.write(new TextEncoder().encode(list));
      await writer.close();
      const { code, stdout, stderr } = await child.output();
      // Swift's ends with 0 whatever it finds.
      assertEquals([code, new TextDecoder().decode(stderr)], [0, ""], path);
      assertMatch(new TextDecoder().decode(stdout), /: OK\n$/, path);
    }
  }
});

const hasAnalyze = isLinux && await has("systemd-analyze");

Deno.test({
  name: "systemd-analyze verifies the units, for any name and path" +
    (hasAnalyze ? "" : " (skipped: there is no systemd-analyze)"),
  ignore: !hasAnalyze,
}, async () => {
  const folder = await Deno.makeTempDir({ prefix: "xpc-shmem-units-" });
  try {
    for (const service of NAMES.filter((name) => /^[a-z]/.test(name))) {
      for (const [index, path] of PATHS.entries()) {
        // What is verified has to be there and run.
        const program = `${folder}/${index}${path}`;
        await Deno.mkdir(program.slice(0, program.lastIndexOf("/")), { recursive: true });
        await Deno.writeTextFile(program, "#!/bin/sh\n");
        await Deno.chmod(program, 0o755);
        const command = [program, "--service", service, `anchor "a" 100% $HOME \\`];
        const files = [`${folder}/${service}.socket`, `${folder}/${service}.service`];
        await Deno.writeTextFile(files[0]!, socketUnit(service, folder));
        await Deno.writeTextFile(files[1]!, serviceUnit(service, { command, environment: { X: path } }));
        const { code, stderr } = await new Deno.Command("systemd-analyze", {
          args: ["--user", "--man=no", "verify", ...files],
          env: { XDG_RUNTIME_DIR: folder },
        }).output();
        assertEquals([code, new TextDecoder().decode(stderr)], [0, ""], program);
      }
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test(
  { name: "serviceSocketPath() is where the library listens, for any name", ignore: !isLinux },
  async () => {
    for (const name of [uniqueService(), `.${uniqueService()}`, `${uniqueService()}.${"n".repeat(90)}`]) {
      await using broker = await BrokerProcess.start(EMBEDDED, name);
      assert((await Deno.stat(serviceSocketPath(name))).isSocket);
      assertEquals((await broker.end("SIGTERM")).code, 0);
      removeTraces(name);
    }
    assertEquals(socketName("a", "/run"), "a.sock");
  },
);

interface Found {
  readonly path: string;
  readonly fault?: string;
}

/** Environments, made in a new folder of mode 0700; and whether the library may listen there. */
const FOLDERS: Readonly<
  Record<string, { make: (base: string) => Promise<Record<string, string>>; allowed: boolean }>
> = {
  "XDG_RUNTIME_DIR": { make: (base) => Promise.resolve({ XDG_RUNTIME_DIR: base }), allowed: true },
  "XDG_RUNTIME_DIR that others can enter": {
    make: async (base) => {
      await Deno.chmod(base, 0o750);
      return { XDG_RUNTIME_DIR: base };
    },
    allowed: false,
  },
  "XDG_RUNTIME_DIR that is a link": {
    make: async (base) => {
      await Deno.mkdir(`${base}/real`, { mode: 0o700 });
      await Deno.symlink(`${base}/real`, `${base}/link`);
      return { XDG_RUNTIME_DIR: `${base}/link` };
    },
    allowed: false,
  },
  "XDG_RUNTIME_DIR that is missing": {
    make: (base) => Promise.resolve({ XDG_RUNTIME_DIR: `${base}/missing` }),
    allowed: false,
  },
  "XDG_RUNTIME_DIR that is relative": {
    make: () => Promise.resolve({ XDG_RUNTIME_DIR: "relative" }),
    allowed: false,
  },
  "XDG_RUNTIME_DIR with a path that is too long": {
    make: async (base) => {
      const path = `${base}/${"n".repeat(80)}`;
      await Deno.mkdir(path, { mode: 0o700 });
      return { XDG_RUNTIME_DIR: path };
    },
    allowed: false,
  },
  "a folder of sockets that others can enter": {
    make: async (base) => {
      await Deno.mkdir(`${base}/xpc-shmem`);
      await Deno.chmod(`${base}/xpc-shmem`, 0o711);
      return { XDG_RUNTIME_DIR: base };
    },
    allowed: false,
  },
  "the home": { make: (base) => Promise.resolve({ XDG_RUNTIME_DIR: "", HOME: base }), allowed: true },
  "a home that others can read": {
    make: async (base) => {
      await Deno.chmod(base, 0o755);
      return { XDG_RUNTIME_DIR: "", HOME: base };
    },
    allowed: true,
  },
  "a home that others can write to": {
    make: async (base) => {
      await Deno.chmod(base, 0o775);
      return { XDG_RUNTIME_DIR: "", HOME: base };
    },
    allowed: false,
  },
  "a home that is a link": {
    make: async (base) => {
      await Deno.mkdir(`${base}/real`, { mode: 0o700 });
      await Deno.symlink(`${base}/real`, `${base}/link`);
      return { XDG_RUNTIME_DIR: "", HOME: `${base}/link` };
    },
    allowed: true,
  },
};

const hasUserFolder = await Deno.lstat(`/run/user/${Deno.uid()}`).then(() => true, () => false);

for (const [name, { make, allowed }] of Object.entries(FOLDERS)) {
  Deno.test({
    name: `findRuntimeFolder() agrees with the library: ${name}`,
    // Where the system has a runtime folder of the user, the home is not asked for.
    ignore: !isLinux || name.includes("home") && hasUserFolder,
  }, async () => {
    const base = await Deno.makeTempDir({ prefix: "xpc-shmem-folder-" });
    try {
      const environment: Record<string, string> = { DENO_DIR, ...await make(base) };
      await using app = new App("runtime_folder_app.ts", ["-A"], environment);
      const found = await app.call<Found>("find");
      const listening = await app.call<{ socket?: boolean; fault?: string }>("listen", { service: "a" });
      if (allowed) {
        assertEquals([found.fault, listening], [undefined, { socket: true }]);
      } else {
        assertEquals([typeof found.fault, typeof listening.fault], ["string", "string"]);
        assertStringIncludes(listening.fault!, environment["XDG_RUNTIME_DIR"] || base);
      }
    } finally {
      await Deno.chmod(base, 0o700);
      await Deno.remove(base, { recursive: true });
    }
  });
}

const hasActivate = isLinux && await has("systemd-socket-activate");

for (const kind of [EMBEDDED, SWIFT]) {
  Deno.test({
    name: `systemd-socket-activate starts the ${kind.name} broker when the first app comes` +
      (hasActivate ? "" : " (skipped: there is no systemd-socket-activate)") +
      (kind.command === undefined ? " (skipped: XPC_SHMEM_AGENT is not set)" : ""),
    ignore: !hasActivate || kind.command === undefined,
  }, async () => {
    const service = uniqueService();
    await Deno.mkdir(findRuntimeFolder().path, { recursive: true, mode: 0o700 });
    const environment = ["HOME", "PATH", "DENO_DIR", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "XPC_SHMEM_LIBRARY"]
      .filter((name) => Deno.env.has(name)).map((name) => `--setenv=${name}`);
    try {
      await using systemd = new Child([
        "systemd-socket-activate",
        "--seqpacket",
        `--listen=${serviceSocketPath(service)}`,
        `--fdname=${service}`,
        ...environment,
        ...kind.command ?? [],
        "--service",
        service,
      ]);
      await systemd.line("stderr", /Listening on/);
      await answers(service); // it is systemd's process that became the broker
      {
        await using peer = await Peer.connect(service);
        const { broker, pid } = await peer.ok({ op: "status" });
        assertEquals([broker, pid], [kind.name, BigInt(systemd.pid)]);
      }
      assertEquals((await systemd.end("SIGTERM")).code, 0);
    } finally {
      removeTraces(service);
    }
  });
}

function options(changes: Partial<Arguments>): Arguments {
  return { ...parseArguments(["install", "--dry-run"]), ...changes };
}

/** What a dry run prints, with what differs from machine to machine replaced. */
async function dryRun(
  platform: "darwin" | "linux",
  run: (machine: Machine) => Promise<void>,
): Promise<string> {
  const lines: string[] = [];
  const home = platform === "darwin" ? "/Users/me" : "/home/me";
  await run(new Machine({ platform, home, uid: 501, dryRun: true, say: (text) => lines.push(text) }));
  return lines.join("\n").replaceAll(ROOT, "ROOT").replace(/(<string>|")[^<>"]*\/deno(?=[<"])/, "$1DENO")
    .replaceAll(Deno.build.arch, "ARCH") + "\n";
}

const golden = new URL("../support/agent_install/dry_runs.json", import.meta.url);

Deno.test({
  name: "install and uninstall --dry-run print every file and every command",
  ignore: ["XDG_CONFIG_HOME", "XDG_DATA_HOME"].some((name) => Deno.env.has(name)),
}, async () => {
  const requirement = 'anchor apple generic and certificate leaf[subject.OU] = "TEAM"';
  const service = "com.example.broker";
  const printed = {
    "darwin, swift": await dryRun("darwin", (machine) => installOnDarwin(machine, options({ requirement }))),
    "darwin, deno": await dryRun(
      "darwin",
      (machine) => installOnDarwin(machine, options({ runtime: "deno", service })),
    ),
    "darwin, uninstall": await dryRun("darwin", (machine) => uninstallOnDarwin(machine, service)),
    "linux, swift": await dryRun("linux", (machine) => installOnLinux(machine, options({}))),
    "linux, deno": await dryRun(
      "linux",
      (machine) => installOnLinux(machine, options({ runtime: "deno", service })),
    ),
    "linux, uninstall": await dryRun("linux", (machine) => uninstallOnLinux(machine, service)),
  };
  const lines = Object.fromEntries(Object.entries(printed).map(([name, text]) => [name, text.split("\n")]));
  if (Deno.env.get("XPC_SHMEM_RECORD") === "1") {
    await Deno.writeTextFile(golden, `${JSON.stringify(lines, undefined, 2)}\n`);
  }
  assertEquals(lines, JSON.parse(await Deno.readTextFile(golden)));
});

Deno.test("logCommands() asks the system's log, and the file of the broker in Deno", () => {
  const machine = (platform: "darwin" | "linux"): Machine =>
    new Machine({ platform, home: "/h", uid: 1, dryRun: true, say: () => {} });
  const unit = ["-u", "a.service", "-u", "a.socket"];
  assertEquals(logCommands(machine("linux"), "a", false, false), [[
    "journalctl",
    "--user",
    "--no-pager",
    ...unit,
  ]]);
  assertEquals(logCommands(machine("linux"), "a", true, false).flat().at(-1), "--follow");
  const [system, file] = logCommands(machine("darwin"), "a", false, true);
  assertEquals(system?.slice(0, 3), ["log", "show", "--last"]);
  assertStringIncludes(system?.at(-1) ?? "", 'subsystem == "io.jsr.xpc.shmem"');
  assertEquals(file, ["tail", "-n", "200", "/h/Library/Logs/a.log"]);
  assertEquals(logCommands(machine("darwin"), "a", true, false)[0]?.slice(0, 2), ["log", "stream"]);
});

Deno.test("parseArguments() says what is wrong", () => {
  const cases: [string[], RegExp][] = [
    [["install", "--sevice=a"], /Cannot understand the argument "--sevice=a"/],
    [["reinstall"], /Cannot do "reinstall": want one of run, install/],
    [["install", "now"], /Cannot do "install now"/],
    [["run", "--service", "a b"], /Cannot use "a b" as the name of a service/],
    [["run", "--service", ""], /--service needs a value/],
    [["install", "--runtime", "node"], /Cannot use the runtime "node"/],
    [["install", "--dry-run", "--platform", "windows"], /Cannot install on "windows"/],
    [["install", "--platform", Deno.build.os === "darwin" ? "linux" : "darwin"], /add --dry-run/],
  ];
  for (const [args, message] of cases) {
    assertMatch(assertThrows(() => parseArguments(args), UsageError).message, message);
  }
  assertEquals(parseArguments([]).action, "help");
  assertEquals(parseArguments(["--version"]).action, "version");
  assertEquals(parseArguments(["run", "--help"]).action, "help");
});
