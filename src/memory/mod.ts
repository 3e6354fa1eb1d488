/**
 * Shared memory: making and opening it, views, and its orderly end.
 *
 * @module
 */
export { Mapping, type MappingOptions, type OpenMappingOptions } from "./mapping.ts";
export type { ReadOnlyView } from "./read_only_view.ts";
export type { ViewConstructor } from "./views.ts";
