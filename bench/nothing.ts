/**
 * Deno's own start and end: what {@linkcode ./first_view.ts} takes without the library.
 *
 * @module
 */
Deno.exit(0);
