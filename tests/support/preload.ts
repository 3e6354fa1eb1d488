/**
 * Opens the native library before any test runs: it stays open, which the resource sanitizer would take for a leak
 * of the test that happens to need it first.
 *
 * @module
 */
import { load } from "../../ffi/load.ts";

await load();
