/**
 * The second app: it opens what `server.ts` has made, and answers in the same memory. With `--crash` it dies in the first
 * round and leaves a mutex abandoned; start it again then. `deno run -A examples/windows_port/client.ts`
 *
 * @module
 */
import { connect, waitAny } from "../../mod.ts";

const BLOCKS = 8;
const numbers = Array.from({ length: BLOCKS }, (_, number) => number);

// connect() waits until the other app is there. With `wait: false` it fails at once, as OpenFileMapping does.
await using client = await connect("com.example.windows-port", { signal: AbortSignal.timeout(60_000) });
const blocks = await Promise.all(numbers.map(async (number) => ({
  // OpenFileMapping(FILE_MAP_WRITE, FALSE, L"Local\\ExampleBlock0"), MapViewOfFile(mapping, FILE_MAP_WRITE, 0, 0, 0)
  words: (await client.open(`block${number}`, { write: true })).view(Uint32Array),
  mutex: await client.lock(`mutex${number}`, "mutex"), // OpenMutex(SYNCHRONIZE, FALSE, L"Local\\ExampleMutex0")
})));
const filled = await client.lock("filled", "auto"); // OpenEvent(SYNCHRONIZE, FALSE, L"Local\\ExampleFilled")
const answered = await client.lock("answered", "auto"); // OpenEvent(EVENT_MODIFY_STATE, FALSE, …)
const stop = await client.lock("stop", "manual");

// WaitForMultipleObjects(2, { stop, filled }, FALSE, 60000) == WAIT_OBJECT_0 + 1
while (await waitAny([stop, filled], { timeout: 60_000 }) === 1) {
  let full = 0;
  let round = 0;
  for (const [number, { words, mutex }] of blocks.entries()) {
    using _ = await mutex.lock({ timeout: 10_000 }); // WaitForSingleObject(mutex, 10000)
    round = words[0]!;
    if (words.at(-1) === round) full++;
    if (number === 3 && Deno.args.includes("--crash")) {
      answered.set();
      Deno.kill(Deno.pid, "SIGKILL"); // TerminateProcess(GetCurrentProcess(), 1), with the mutex held
    }
    words[0] = round + 1;
  } // ReleaseMutex(mutex)
  console.log(`round ${round}: ${full} of ${BLOCKS} blocks are full`);
  answered.set(); // SetEvent(answered)
}
answered.set();
