/** The regions that the doctor's two processes share. */
export const REGIONS = { shared: "shared", sealed: "sealed" } as const;

/** The length of each region: a page on all systems. */
export const BYTES = 16384;

/** The byte that fills the sealed region. */
export const FILLING = 0xa5;

/** The number that ends the exchange. */
export const STOP = 0xffff_ffff;

/** How long the whole exchange may take. */
export const MILLISECONDS = 20_000;
