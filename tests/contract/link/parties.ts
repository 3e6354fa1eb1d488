/**
 * The implementations of the link, as processes that do what they are told, line by line. A new implementation is
 * one more entry in {@linkcode IMPLEMENTATIONS}: a program that is a server or a client, whichever it is told first.
 *
 * A line on its standard input is `ID COMMAND ARGUMENTS…`, words between spaces. It answers each by `ID ok RESULTS…`
 * or `ID error CODE`, in any order, since several may be under way; before a wait that blocks, it says `ID parked`. At
 * the end of its input it ends in order.
 *
 * | command | results |
 * | --- | --- |
 * | `serve BROKER NAME SCHEMA [REGION BYTES write\|read]…` | once it is registered; SCHEMA `-` is none |
 * | `put REGION BYTES write\|read` | adds a region, or a new generation in the place of one |
 * | `clients` | how many said hello and are there |
 * | `connect BROKER NAME SCHEMA` | once the server has answered hello |
 * | `open REGION write\|read` | generation, length in bytes |
 * | `write REGION OFFSET BYTE`, `read REGION OFFSET` | the byte |
 * | `commit REGION`, `revision REGION` | the revision |
 * | `commit_range REGION OFFSET LENGTH` | the revision, in which only these bytes changed |
 * | `copy REGION SINCE` | the revision of the copy, how many bytes were copied, `consistent` or `mixed` |
 * | `copied REGION OFFSET` | the byte of the copy |
 * | `wait REGION AFTER bell\|futex` | the revision that is not AFTER, and the newest generation |
 * | `lock REGION MILLISECONDS` (-1: without end), `trylock REGION` | `locked`, `abandoned` or `busy` |
 * | `unlock REGION` | |
 * | `putlock LOCK mutex\|rwlock\|semaphore\|manual\|auto LIMIT` | adds a lock; LIMIT is 0 but for a semaphore |
 * | `openlock LOCK` | its kind, its limit |
 * | `take LOCK read\|write\|- MILLISECONDS`, `try LOCK read\|write\|-` | `locked`, `abandoned` or `busy` |
 * | `give LOCK` | gives back what was taken last |
 * | `set LOCK`, `reset LOCK` | of an event |
 * | `request TEXT` | the answer of the other side (of the first client), which is TEXT; "fail" is refused with `handler` |
 * | `send TEXT COUNT` | sends as many messages, and answers when the other side has taken them |
 * | `taken` | how many messages came here, and the last one |
 *
 * A REGION whose access is `stream:SLOTS` is a stream. LOAN, READER and LEASE are names of loans, readers and leases:
 *
 * | command | results |
 * | --- | --- |
 * | `loan STREAM now\|revoke` | LOAN, or `error no_slot PID…` with the processes that keep slots |
 * | `loan_wait STREAM MILLISECONDS` (-1: without end) | LOAN, of a patient loan |
 * | `fill STREAM LOAN BYTE`, `unloan STREAM LOAN` | |
 * | `publish STREAM LOAN LENGTH TIME BYTE` | the frame's number; BYTE is the first of its record |
 * | `readers STREAM` | how many there are |
 * | `stream STREAM READER newest\|every` | generation, length in bytes, slots |
 * | `frame READER` | LEASE, number, dropped, length, time, first byte of the record; or `none` |
 * | `await READER bell\|futex` | the same, once there is a frame |
 * | `look READER LEASE` | `valid` or `revoked`, as it was after the first and the last byte were read; these bytes |
 * | `release READER LEASE`, `shut READER` | |
 * | `follow READER` | the newest generation, which is mapped from now on |
 *
 * A REGION whose access is `channel` is a channel; BYTES are those of a ring. A server's commands are about the client that
 * opened it last:
 *
 * | command | results |
 * | --- | --- |
 * | `channel CHANNEL` | (a client opens it) the bytes of a ring |
 * | `post CHANNEL LENGTH BYTE` | `sent` or `full`, of a message whose bytes are all BYTE |
 * | `post_wait CHANNEL LENGTH BYTE bell\|futex` | `sent`, once there was room |
 * | `pull CHANNEL` | length, first and last byte of a message (0 where it has none); or `none` |
 * | `pull_wait CHANNEL bell\|futex` | the same, once there is a message |
 * | `hangup CHANNEL` | closes it for both sides |
 *
 * CODE is one of the page's refusals, or `gone`, `timeout`, `replaced` (a stream), `closed` or `broken` (a channel), `read_only` (clients may only read), `unusable` (the
 * server's answer). An implementation may have these also, which the tests use where they are there:
 *
 * | command | results |
 * | --- | --- |
 * | `parked REGION` | the parked words of the other side that it can see, by "or" |
 * | `crash_commit REGION` | counts the revision up and wakes nobody, as who dies in the middle of a commit |
 * | `crash_range REGION OFFSET LENGTH` | dies in the middle of such a commit: the tiles are told, and nothing else |
 * | `drop REGION` | unlocks and wakes nobody, as who dies in the middle of an unlock |
 * | `leave LOCK` | the same for what was taken of a lock |
 *
 * @module
 */
import { TextLineStream } from "@std/streams/text-line-stream";
import { compileNativeParty, compileParty } from "./compile.ts";

/** An implementation of the link. */
export interface Implementation {
  /** For the names of tests. */
  readonly name: string;
  /** The program and its arguments. */
  command(): Promise<string[]>;
  /** Whether it can tell the parked words of the other side. */
  readonly seesParked: boolean;
  /** Whether it has all of the page: locks, messages, tiles and replacements, too. */
  readonly isWhole: boolean;
}

const script = decodeURIComponent(new URL("party.ts", import.meta.url).pathname);

/** The library itself. */
const DENO: Implementation = {
  name: "Deno",
  command: () => Promise.resolve([Deno.execPath(), "run", "--quiet", "-A", script]),
  seesParked: false,
  isWhole: true,
};

/** Plain C, written from the page: `c/`. */
export const C: Implementation = {
  name: "C",
  command: async () => [await compileParty()],
  seesParked: true,
  isWhole: true,
};

/** `xpc_shmem.h`: `native/`. */
const NATIVE: Implementation = {
  name: "native",
  command: async () => [await compileNativeParty()],
  seesParked: false,
  isWhole: false,
};

/** All of them. */
export const IMPLEMENTATIONS: readonly Implementation[] = [DENO, C, NATIVE];

/** Longer than anything takes: so that a wake that is lost fails a test and does not hang it. */
const PATIENCE = 60_000;

/** A refusal of a command. */
class PartyError extends Error {
  /** Why. */
  readonly code: string;

  constructor(command: string, code: string) {
    super(`${command}: ${code}`);
    this.code = code;
  }
}

/** A command under way. */
export interface Pending {
  /** Resolves when it blocks, or has answered. */
  readonly parked: Promise<void>;
  /** The words of the answer. */
  readonly answer: Promise<string[]>;
}

/** The code with which a command is refused. */
export async function refusalOf({ answer }: Pending): Promise<string> {
  let words: string[];
  try {
    words = await answer;
  } catch (error) {
    if (error instanceof PartyError) return error.code;
    throw error;
  }
  throw new Error(`Cannot be: a command succeeded with "${words.join(" ")}"`);
}

interface Waiting {
  readonly command: string;
  readonly parked: PromiseWithResolvers<void>;
  readonly answer: PromiseWithResolvers<string[]>;
}

/** A process that is a server or a client. Killed at the end of its scope where it still runs. */
export class Party implements AsyncDisposable {
  readonly implementation: Implementation;
  readonly #process: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #waiting = new Map<string, Waiting>();
  readonly #reading: Promise<void>;
  #lastId = 0;
  #ended = false;

  private constructor(implementation: Implementation, [program = "", ...args]: string[]) {
    this.implementation = implementation;
    this.#process = new Deno.Command(program, {
      args,
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#writer = this.#process.stdin.getWriter();
    this.#reading = this.#read();
  }

  /** Starts one. */
  static async start(implementation: Implementation): Promise<Party> {
    return new Party(implementation, await implementation.command());
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Starts a command. */
  begin(...words: readonly (string | number)[]): Pending {
    const id = `${++this.#lastId}`;
    const waiting = {
      command: words.join(" "),
      parked: Promise.withResolvers<void>(),
      answer: Promise.withResolvers<string[]>(),
    };
    const timer = setTimeout(() => {
      waiting.parked.resolve();
      waiting.answer.reject(new Error(`Cannot go on: "${waiting.command}" was not answered in time`));
    }, PATIENCE);
    // The failure itself is told to who waits for the answer, if anybody does.
    waiting.answer.promise.finally(() => clearTimeout(timer)).catch(() => {});
    if (this.#ended) waiting.answer.reject(new PartyError(waiting.command, "dead"));
    else this.#waiting.set(id, waiting);
    const line = new TextEncoder().encode(`${id} ${waiting.command}\n`);
    this.#writer.write(line).catch(() => {}); // broken with the process, which the end of its output tells
    return { parked: waiting.parked.promise, answer: waiting.answer.promise };
  }

  /** Runs a command; the words of the answer. */
  async run(...words: readonly (string | number)[]): Promise<string[]> {
    return await this.begin(...words).answer;
  }

  /** Runs a command that answers with one number. */
  async number(...words: readonly (string | number)[]): Promise<number> {
    return Number((await this.run(...words))[0]);
  }

  /** Runs a command that is refused; the code. */
  async refused(...words: readonly (string | number)[]): Promise<string> {
    return await refusalOf(this.begin(...words));
  }

  /** Starts a command that blocks, and resolves when it does. */
  async blocked(...words: readonly (string | number)[]): Promise<Pending> {
    const pending = this.begin(...words);
    await pending.parked;
    return pending;
  }

  /** Sends SIGKILL, and waits for the end. */
  async kill(): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it has ended
    }
    await this.#end();
  }

  /** Closes its input, upon which it ends in order; its exit status. */
  async end(): Promise<number> {
    await this.#writer.close().catch(() => {}); // broken with the process
    return await this.#end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  async #end(): Promise<number> {
    await this.#reading;
    const { code } = await this.#process.status;
    await this.#writer.abort().catch(() => {}); // broken with the process
    return code;
  }

  async #read(): Promise<void> {
    const text = this.#process.stdout.pipeThrough(new TextDecoderStream());
    for await (const line of text.pipeThrough(new TextLineStream())) {
      const [id = "", verdict, ...words] = line.split(" ");
      const waiting = this.#waiting.get(id);
      waiting?.parked.resolve();
      if (waiting === undefined || verdict === "parked") continue;
      this.#waiting.delete(id);
      if (verdict === "ok") waiting.answer.resolve(words);
      else waiting.answer.reject(new PartyError(waiting.command, words.join(" ")));
    }
    this.#ended = true;
    for (const waiting of this.#waiting.values()) {
      waiting.parked.resolve();
      waiting.answer.reject(new PartyError(waiting.command, "dead"));
    }
  }
}
