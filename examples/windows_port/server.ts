/**
 * The first of two Windows apps, ported call by call: it makes eight mappings, a mutex for each of them, and events.
 * Start it before or after `client.ts`; the argument is the length of a mapping in MiB.
 * `deno run -A examples/windows_port/server.ts`
 *
 * @module
 */
import { serve } from "../../mod.ts";

const BLOCKS = 8;
const BYTE_LENGTH = Number(Deno.args[0] ?? 100) * 2 ** 20;
const ROUNDS = 3;
const numbers = Array.from({ length: BLOCKS }, (_, number) => number);

// All names of Windows are under one name here, that of the service: "Local\\ExampleBlock0" is its region "block0".
await using server = await serve("com.example.windows-port", {
  // CreateFileMapping(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, BYTE_LENGTH, L"Local\\ExampleBlock0"), eight times
  regions: Object.fromEntries(numbers.map((number) => [`block${number}`, { byteLength: BYTE_LENGTH }])),
  locks: {
    // CreateMutex(NULL, FALSE, L"Local\\ExampleMutex0"), eight times
    ...Object.fromEntries(numbers.map((number) => [`mutex${number}`, "mutex"])),
    filled: { event: "auto" }, // CreateEvent(NULL, FALSE, FALSE, L"Local\\ExampleFilled")
    answered: { event: "auto" }, // CreateEvent(NULL, FALSE, FALSE, L"Local\\ExampleAnswered")
    stop: { event: "manual" }, // CreateEvent(NULL, TRUE, FALSE, L"Local\\ExampleStop")
  },
});
const blocks = numbers.map((number) => ({
  // MapViewOfFile(mapping, FILE_MAP_WRITE, 0, 0, BYTE_LENGTH)
  words: server.region(`block${number}`).view(Uint32Array),
  mutex: server.lock(`mutex${number}`, "mutex"),
}));
const filled = server.lock("filled", "auto");
const answered = server.lock("answered", "auto");

for (let round = 1; round <= ROUNDS; round++) {
  for (const { words, mutex } of blocks) {
    using _ = await mutex.lock({ timeout: 10_000 }); // WaitForSingleObject(mutex, 10000); WAIT_TIMEOUT is an exception
    words.fill(round);
  } // ReleaseMutex(mutex)
  filled.set(); // SetEvent(filled)
  await answered.wait({ timeout: 60_000 }); // WaitForSingleObject(answered, 60000)

  let answers = 0;
  for (const [number, { words, mutex }] of blocks.entries()) {
    using guard = await mutex.lock({ timeout: 10_000 });
    if (guard.abandoned) console.log(`the client died in block ${number}`); // WAIT_ABANDONED
    else if (words[0] === round + 1) answers++;
  }
  console.log(`round ${round}: ${answers} of ${BLOCKS} blocks of ${BYTE_LENGTH} bytes were answered`);
}
server.lock("stop", "manual").set();
await answered.wait({ timeout: 60_000 }); // the client has seen it
// UnmapViewOfFile(words) and CloseHandle(mapping), CloseHandle(mutex), …: `await using` closes them all.
