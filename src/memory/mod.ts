/**
 * Shared memory: making and opening it, views, and its orderly end.
 *
 * @module
 */
export { Mapping, type MappingOptions } from "./mapping.ts";
export type { ReadOnlyView, ViewConstructor } from "./views.ts";
