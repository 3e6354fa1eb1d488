/** The release of this package, as brokers tell it: equal to `version` in deno.json. */
export const RELEASE = "0.1.0";

/** The name of the Mach service that a broker vends unless told otherwise. */
export const DEFAULT_SERVICE = "io.jsr.xpc.shmem";
