/** Installing the broker: on a Mac with a launchctl that records, on Linux with what systemd lends. */
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { AgentError } from "../../agent/install/machine.ts";
import { domains } from "../../agent/install/launchctl.ts";
import { brokerStatus } from "../../agent/install/status.ts";
import { load } from "../../ffi/load.ts";
import { connect, serve } from "../../mod.ts";
import { Mac } from "../support/agent_install/mac.ts";

await load();

// Brokers under that launchctl are processes that bind sockets: that is how it is on Linux.
const ignore = Deno.build.os !== "linux";

const LOOKS = ["print gui/501", "print gui/501/NAME", "print user/501/NAME"];
const BOOTSTRAP = "bootstrap gui/501 HOME/Library/LaunchAgents/NAME.plist";
const FILES = [
  "Library/Application Support/xpc-shmem/NAME/libxpc_shmem.so",
  "Library/LaunchAgents/NAME.plist",
];

Deno.test(
  { name: "install loads the agent and proves that it answers; uninstall leaves nothing", ignore },
  async () => {
    await using mac = await Mac.make();
    await mac.install();
    assertEquals(mac.calls(), [...LOOKS, BOOTSTRAP]);
    assertEquals(mac.files(), FILES);
    assertMatch(mac.said.join("\n"), /^Installed .*: release .* answers as process \d+$/);
    const { broker, pid, services } = await brokerStatus(mac.service);
    assertEquals([broker, services.length], ["embedded", 0]);
    assertEquals(pid, mac.state.jobs[`gui/501/${mac.service}`]);

    await mac.uninstall();
    assertEquals(mac.calls(), [
      ...LOOKS.slice(0, 2),
      "bootout gui/501/NAME",
      "print gui/501/NAME",
      LOOKS[2]!,
    ]);
    assertEquals(mac.files(), []);
    await assertRejects(() => brokerStatus(mac.service), AgentError, "nobody answers");
    await mac.uninstall();
    assertStringIncludes(mac.said.at(-1)!, "Nothing to uninstall");
  },
);

Deno.test(
  { name: "install upgrades in place while apps are connected: they register again", ignore },
  async () => {
    await using mac = await Mac.make();
    await mac.install();
    const first = await brokerStatus(mac.service);
    const broker = { service: mac.service, embedded: false };
    await using server = await serve("upgraded", { broker, regions: { frame: { byteLength: 8192 } } });
    server.region("frame").commit();
    await using client = await connect("upgraded", { broker });
    mac.calls();
    mac.state = { ...mac.state, lingers: 2 };
    await mac.install();
    assertEquals(mac.calls(), [
      ...LOOKS.slice(0, 2),
      "bootout gui/501/NAME", // asynchronous: the job is there for two looks more
      ...Array.from({ length: 3 }, () => "print gui/501/NAME"),
      LOOKS[2]!,
      BOOTSTRAP,
    ]);
    assertEquals(mac.files(), FILES);
    // Waits until the server has registered with the new broker.
    await using _late = await connect("upgraded", { broker, signal: AbortSignal.timeout(60_000) });
    const second = await brokerStatus(mac.service);
    assert(second.pid !== first.pid);
    assertEquals(second.services.map(({ name, pid, regions }) => [name, pid, regions]), [[
      "upgraded",
      Deno.pid,
      [{ name: "frame", byteLength: 8192, clients: "write", generation: 1, revision: 1 }],
    ]]);
    assert(client.connected, "the direct link lives on");
  },
);

Deno.test(
  { name: "install tries again where launchd is not done with the last job: error 5", ignore },
  async () => {
    await using mac = await Mac.make({ refusals: [5, 37, 5] });
    await mac.install();
    assertEquals(mac.calls(), [
      ...LOOKS,
      ...Array.from({ length: 3 }, () => [BOOTSTRAP, "print gui/501/NAME"]).flat(),
      BOOTSTRAP,
    ]);
    assertEquals(mac.waited, 1500);
  },
);

Deno.test({ name: "install boots out a job that was loaded meanwhile", ignore }, async () => {
  await using mac = await Mac.make({ refusals: [5] });
  // Not there when install looks at the domain, there when bootstrap is refused.
  const machine = mac.machine();
  const run = machine.run.bind(machine);
  machine.run = async (command, options) => {
    if (command[1] === "bootstrap" && mac.state.refusals.length === 1) {
      mac.state = { ...mac.state, jobs: { [`gui/501/${mac.service}`]: 0 }, lingers: 1 };
    }
    return await run(command, options);
  };
  await mac.install({}, machine);
  assertEquals(mac.calls(), [
    ...LOOKS,
    BOOTSTRAP,
    "print gui/501/NAME",
    "bootout gui/501/NAME",
    "print gui/501/NAME",
    BOOTSTRAP,
  ]);
});

for (
  const { name, state, tried } of [
    { name: "there is no gui domain", state: { gui: false }, tried: [] },
    { name: "the gui domain refuses with 125", state: { refusals: [125] }, tried: [BOOTSTRAP] },
  ]
) {
  Deno.test({ name: `install takes the user domain over SSH: ${name}`, ignore }, async () => {
    await using mac = await Mac.make(state);
    await mac.install();
    const looks = LOOKS.filter((look) => tried.length > 0 || look !== "print gui/501/NAME");
    assertEquals(mac.calls(), [...looks, ...tried, BOOTSTRAP.replace("gui", "user")]);
    const list = await Deno.readTextFile(`${mac.home}/Library/LaunchAgents/${mac.service}.plist`);
    assertMatch(list, /<key>LimitLoadToSessionType<\/key>\s*<string>Background<\/string>/);
    await mac.uninstall();
    assertEquals(mac.files(), []);
  });
}

for (
  const { refusals, message } of [
    { refusals: Array<number>(30).fill(5), message: /gave 5 30 times: .*Input\/output error.*plutil -lint/ },
    { refusals: [125, 125], message: /user\/501 takes no agents: .*125.*Log in on the Mac's own screen/ },
    { refusals: [119], message: /it is disabled\. Run "launchctl enable gui\/501\// },
    { refusals: [113], message: /launchctl bootstrap gave 113: Could not find service/ },
  ]
) {
  Deno.test({
    name: `install says what to do when launchctl gives ${refusals[0]} (${refusals.length} times)`,
    ignore,
  }, async () => {
    await using mac = await Mac.make({ refusals });
    const error = await assertRejects(() => mac.install(), AgentError, "Cannot load");
    assertMatch(error.message, message);
  });
}

Deno.test({ name: "install and uninstall say which tool is missing", ignore }, async () => {
  await using mac = await Mac.make();
  const bare = mac.machine("/nowhere");
  await assertRejects(() => mac.install({}, bare), AgentError, `Cannot run "launchctl": it is not installed`);
  await assertRejects(() => mac.uninstall(bare), AgentError, `Cannot run "launchctl"`);
  const error = await assertRejects(
    () => mac.install({ runtime: "swift" }, bare),
    AgentError,
    `Cannot run "swift"`,
  );
  assertStringIncludes(error.message, "xcode-select --install");
  assertStringIncludes(error.message, "--runtime deno");
  await assertRejects(() => domains(bare), AgentError, "is this one?");
});

Deno.test({ name: "install takes Deno where there is no Swift toolchain", ignore }, async () => {
  await using mac = await Mac.make();
  await mac.install({ runtime: undefined });
  assertStringIncludes(mac.said[0]!, "There is no Swift toolchain here");
  assertEquals((await brokerStatus(mac.service)).broker, "embedded");
});
