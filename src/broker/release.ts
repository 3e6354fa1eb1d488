/** The release of this package, which brokers report: equal to `version` in deno.json. */
export const RELEASE = "0.1.0";

/** The default name of a broker's Mach service. */
export const DEFAULT_SERVICE = "io.jsr.xpc.shmem";
