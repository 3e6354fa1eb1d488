/**
 * Opens the native library as soon as somebody imports the module: it stays open, which Deno's resource sanitizer
 * would take for a leak of the test that happens to need it first.
 *
 * @module
 */
import { load } from "../../ffi/load.ts";

const { shim } = await load();
shim.shim_memory_page_size(); // has everything bound that is bound at its first use
