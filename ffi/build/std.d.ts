/** The parts of @std/cli that the build uses: the npm form of std comes without types. */
declare module "@std/cli/parse-args" {
  export interface ParseArgsOptions<S extends string, B extends string> {
    string?: readonly S[];
    boolean?: readonly B[];
    unknown?: (argument: string) => unknown;
  }
  export function parseArgs<S extends string = never, B extends string = never>(
    args: readonly string[],
    options?: ParseArgsOptions<S, B>,
  ): { [K in S]?: string } & { [K in B]: boolean } & { _: (string | number)[] };
}
