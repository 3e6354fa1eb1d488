/**
 * Opens the native library before any test runs: it stays open, which the resource sanitizer would take for a leak
 * of the test that happens to need it first.
 *
 * @module
 */
import { load } from "../../ffi/load.ts";

const { shim } = await load();
shim.shim_memory_page_size(); // has everything bound that is bound at its first use
