/** A package as a registry has it. */
export interface Package {
  /** The name, such as `@scope/name`. */
  readonly name: string;
  /** The only version. */
  readonly version: string;
  /** Its entry points. */
  readonly exports: Readonly<Record<string, string>>;
  /** The files by path, without a slash before it. */
  readonly files: Map<string, Uint8Array<ArrayBuffer>>;
}

/** A registry that speaks what Deno asks of JSR, on this machine only. */
export class Registry implements AsyncDisposable {
  /** What was asked for, in order. */
  readonly requests: string[] = [];
  readonly #packages = new Map<string, Package>();
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #upstream: string | undefined;

  /** @param upstream the registry that has the packages that this one lacks */
  constructor(packages: readonly Package[], upstream?: string) {
    for (const added of packages) this.#packages.set(added.name, added);
    this.#upstream = upstream;
    const options = { hostname: "127.0.0.1", port: 0, onListen: () => {} };
    this.#server = Deno.serve(options, (request) => this.#answer(new URL(request.url).pathname));
  }

  /** The host and port. */
  get host(): string {
    return `127.0.0.1:${this.#server.addr.port}`;
  }

  /** What `JSR_URL` must be. */
  get url(): string {
    return `http://${this.host}/`;
  }

  /** How often a file whose path ends in `suffix` was asked for. */
  count(suffix: string): number {
    return this.requests.filter((path) => path.endsWith(suffix)).length;
  }

  async #answer(path: string): Promise<Response> {
    this.requests.push(path);
    const [, scope, name, file = "", ...rest] = path.split("/");
    const found = this.#packages.get(`${scope}/${name}`);
    if (found === undefined) {
      if (this.#upstream === undefined) return new Response("there is no such package", { status: 404 });
      return await fetch(new URL(path, this.#upstream));
    }
    if (file === "meta.json") {
      return Response.json({ scope, name, latest: found.version, versions: { [found.version]: {} } });
    }
    if (file === `${found.version}_meta.json`) return Response.json(await metaOf(found));
    const bytes = file === found.version ? found.files.get(rest.join("/")) : undefined;
    if (bytes === undefined) return new Response("there is no such file", { status: 404 });
    const type = path.endsWith(".ts") ? "application/typescript" : "application/octet-stream";
    return new Response(bytes, { headers: { "content-type": type } });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

async function metaOf({ exports, files }: Package): Promise<unknown> {
  const manifest: Record<string, { size: number; checksum: string }> = {};
  for (const [path, bytes] of files) {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
    manifest[`/${path}`] = { size: bytes.byteLength, checksum: `sha256-${digest}` };
  }
  return { exports, manifest };
}
