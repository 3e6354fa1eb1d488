/** The whole command on Linux, against a systemctl that records and a socket that systemd opens. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";

const ROOT = decodeURIComponent(new URL("../..", import.meta.url).pathname).replace(/\/$/, "");
const SERVICE = "com.example.Broker-1";

/** Starts what the units say, by systemd's own socket activation. */
const SYSTEMCTL = `#!/bin/sh
echo "$*" >> "$STATE/calls"
units="$HOME/.config/systemd/user/${SERVICE}"
start() {
  socket=$(sed -n "s|^ListenSequentialPacket=%t|$XDG_RUNTIME_DIR|p" "$units.socket")
  name=$(sed -n 's|^FileDescriptorName=||p' "$units.socket")
  command=$(sed -n 's|^ExecStart=:||p' "$units.service")
  library=$(sed -n 's|^Environment=||p' "$units.service")
  mkdir -p -m 700 "\${socket%/*}"
  eval "exec systemd-socket-activate --seqpacket --listen='$socket' --fdname=$name --setenv=HOME --setenv=DENO_DIR \\
    --setenv=XDG_RUNTIME_DIR --setenv=$library $command" < /dev/null > /dev/null 2>&1 &
  echo $! > "$STATE/pid"
  until [ -S "$socket" ]; do sleep 0.01; done
}
stop() {
  [ -f "$STATE/pid" ] || return 0
  pid=$(cat "$STATE/pid")
  kill "$pid"
  while readlink "/proc/$pid/exe" > /dev/null; do sleep 0.01; done
  rm -f "$STATE/pid" "$XDG_RUNTIME_DIR/xpc-shmem/${SERVICE}.sock"
}
case "$2" in
  is-active) test -f "$STATE/pid" ;;
  show) cat "$STATE/pid" ;;
  enable) start ;;
  restart) stop; start ;;
  stop | disable) stop ;;
esac
`;

interface Said {
  readonly code: number;
  readonly out: string;
  readonly calls: string[];
}

/** A user of a Linux with systemd. */
class User implements AsyncDisposable {
  readonly home: string;
  readonly #root: string;
  readonly #environment: Record<string, string>;

  private constructor(root: string) {
    this.#root = root;
    this.home = `${root}/a "home"`;
    const cache = Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`;
    this.#environment = {
      HOME: this.home,
      STATE: root,
      DENO_DIR: Deno.env.get("DENO_DIR") ?? `${cache}/deno`,
      XDG_RUNTIME_DIR: `${root}/run`,
      XDG_CONFIG_HOME: "",
      XDG_DATA_HOME: "",
      NO_COLOR: "1",
      PATH: `${root}/bin:${Deno.env.get("PATH")}`,
    };
  }

  static async make(): Promise<User> {
    const user = new User(await Deno.makeTempDir({ prefix: "xpc-shmem-user-" }));
    for (const folder of ["bin", "run"]) await Deno.mkdir(`${user.#root}/${folder}`, { mode: 0o700 });
    await Deno.mkdir(user.home);
    await Deno.writeTextFile(`${user.#root}/bin/systemctl`, SYSTEMCTL);
    await Deno.chmod(`${user.#root}/bin/systemctl`, 0o755);
    return user;
  }

  /** Runs `agent/main.ts` as this user. */
  async agent(...args: string[]): Promise<Said> {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", `${ROOT}/agent/main.ts`, ...args, "--service", SERVICE],
      env: this.#environment,
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    return { code, out: decoder.decode(stdout) + decoder.decode(stderr), calls: await this.#calls() };
  }

  async #calls(): Promise<string[]> {
    const path = `${this.#root}/calls`;
    const text = await Deno.readTextFile(path).catch(() => "");
    await Deno.writeTextFile(path, "");
    return text.split("\n").slice(0, -1).map((line) =>
      line.replace("--user ", "").replaceAll(SERVICE, "NAME")
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.agent("uninstall");
    await Deno.remove(this.#root, { recursive: true });
  }
}

const hasActivate = await Deno.stat("/usr/bin/systemd-socket-activate").then(() => true, () => false);

Deno.test({
  name: "agent install, status and uninstall on Linux" +
    (hasActivate ? "" : " (skipped: there is no systemd-socket-activate)"),
  ignore: !hasActivate || Deno.build.os !== "linux",
}, async () => {
  await using user = await User.make();
  const look = ["show-environment", "is-active NAME.socket", "daemon-reload"];
  const before = await user.agent("status");
  assertEquals(before.code, 1);
  assertStringIncludes(before.out, "Cannot ask the broker: nobody answers");

  const first = await user.agent("install", "--runtime", "deno");
  assertMatch(first.out, /^Installed com\.example\.Broker-1: release .* answers as process \d+\n$/);
  assertEquals([first.code, first.calls], [0, [...look, "enable --now NAME.socket"]]);
  const status = JSON.parse((await user.agent("status", "--json")).out);
  assertEquals([status.service, status.broker, status.services], [SERVICE, "embedded", []]);
  assertMatch(
    (await user.agent("status")).out,
    /the embedded broker .*, process \d+, up .*\n.*0 services\n$/,
  );

  const second = await user.agent("install", "--runtime", "deno");
  const again = [
    "show-environment",
    "show -p MainPID --value NAME.service",
    ...look.slice(1),
    "restart NAME.service",
  ];
  assertEquals([second.code, second.calls], [0, again], second.out);
  assert(JSON.parse((await user.agent("status", "--json")).out).pid !== status.pid);

  const gone = await user.agent("uninstall");
  assertEquals([gone.code, gone.out], [0, `Uninstalled ${SERVICE}\n`]);
  assertEquals(gone.calls, [
    "disable --now NAME.socket",
    "stop NAME.service",
    "daemon-reload",
    "reset-failed NAME.*",
  ]);
  assertEquals([...files(user.home)], []);
  assertEquals((await user.agent("uninstall")).out, `Nothing to uninstall: ${SERVICE} is not installed\n`);
});

function* files(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    if (isDirectory) yield* files(`${folder}/${name}`);
    else yield `${folder}/${name}`;
  }
}
