/** Where the numbers lie that the programs of the cast write into their regions, and the names of those. */

/** The regions: everybody may write the frame, clients only read the mask. */
export const REGIONS = {
  frame: { byteLength: 65_536 },
  mask: { byteLength: 65_536, clients: "read" },
} as const;

/** As 64-bit words. */
export const LIFE = 0; // which life of the server wrote this
export const VALUE = 1; // grows with each commit of that life
export const HOLDER = 2; // who holds the frame's mutex; 0: nobody
