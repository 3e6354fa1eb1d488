/**
 * The library as a party of the contract: see `parties.ts` for the commands. A `wait` by futex blocks this thread, so
 * nothing else is answered meanwhile.
 *
 * @module
 */
import { TextLineStream } from "@std/streams/text-line-stream";
import {
  type AnyLock,
  type Channel,
  type Client,
  connect,
  type ConnectedClient,
  type FrameLease,
  type FrameLoan,
  IncompatibleError,
  type LockGuard,
  type LockSpec,
  type MessageValue,
  MutexLock,
  NoSlotError,
  PeerGoneError,
  type ReadableRegion,
  type RegionOptions,
  RemoteError,
  RwLock,
  Semaphore,
  serve,
  type Server,
  type StreamReader,
  WritableRegion,
} from "../../../mod.ts";

type Region = ReadableRegion | WritableRegion;
type Command = (words: readonly string[], say: (word: string) => void) => unknown;

let server: Server | undefined;
let client: Client | undefined;
const opened = new Map<string, Region>();
let taken = 0;
let last: MessageValue = "";
const guards = new Map<string, LockGuard>();
const locks = new Map<string, AnyLock>();
const holds = new Map<string, LockGuard[]>();
const copies = new Map<string, Uint8Array<ArrayBuffer>>();
const loans = new Map<string, FrameLoan>();
const readers = new Map<string, StreamReader>();
const leases = new Map<string, FrameLease>();
const channels = new Map<string, Channel>();
let lastId = 0;

/** A refusal of a command. */
class Refusal extends Error {}

function regionOf(name: string): Region {
  const region = server?.region(name) ?? opened.get(name);
  if (region === undefined) throw new Refusal("not_found");
  return region;
}

function writable(name: string): WritableRegion {
  const region = regionOf(name);
  if (region instanceof WritableRegion) return region;
  throw new Refusal("read_only");
}

function schemaOf(word: string): string | undefined {
  return word === "-" ? undefined : word;
}

function optionsOf([bytes, clients]: readonly string[]): RegionOptions {
  return { byteLength: Number(bytes), clients: clients === "read" ? "read" : "write", tileBytes: 1024 };
}

/** The options of a stream, if the words are of one. */
function streamOf([bytes, kind = ""]: readonly string[]): { byteLength: number; slots: number } | undefined {
  const [, slots] = /^stream:(\d+)$/.exec(kind) ?? [];
  return slots === undefined ? undefined : { byteLength: Number(bytes), slots: Number(slots) };
}

function keepLoan(loan: FrameLoan): string {
  loans.set(`${++lastId}`, loan);
  return `${lastId}`;
}

function found<V>(value: V | undefined): V {
  if (value === undefined) throw new Refusal("not_found");
  return value;
}

function tell(lease: FrameLease): string {
  leases.set(`${++lastId}`, lease);
  const { sequence, dropped, byteLength, timestamp, record } = lease;
  return `${lastId} ${sequence} ${dropped} ${byteLength} ${timestamp} ${record[0]}`;
}

function keep(name: string, guard: LockGuard): string {
  guards.set(name, guard);
  return guard.abandoned ? "abandoned" : "locked";
}

function lockOf(name: string): AnyLock {
  const lock = server?.locks.includes(name) === true ? server.lock(name) : locks.get(name);
  if (lock === undefined) throw new Refusal("not_found");
  return lock;
}

function specOf(kind: string, limit: string): LockSpec {
  if (kind === "mutex" || kind === "rwlock") return kind;
  if (kind === "manual" || kind === "auto") return { event: kind };
  return { semaphore: Number(limit) };
}

function hold(name: string, guard: LockGuard | undefined | boolean): string {
  if (typeof guard === "boolean" || guard === undefined) return guard === true ? "locked" : "busy";
  holds.set(name, [...holds.get(name) ?? [], guard]);
  return guard.abandoned ? "abandoned" : "locked";
}

async function take(lock: AnyLock, mode: string, options: { timeout?: number }): Promise<LockGuard | true> {
  if (lock instanceof MutexLock) return await lock.lock(options);
  if (lock instanceof Semaphore) return await lock.acquire(options);
  if (lock instanceof RwLock) return mode === "write" ? await lock.write(options) : await lock.read(options);
  await lock.wait(options);
  return true;
}

function tryTake(lock: AnyLock, mode: string): LockGuard | undefined | boolean {
  if (lock instanceof MutexLock) return lock.tryLock();
  if (lock instanceof Semaphore) return lock.tryAcquire();
  if (lock instanceof RwLock) return mode === "write" ? lock.tryWrite() : lock.tryRead();
  return lock.tryWait();
}

const commands: Readonly<Record<string, Command>> = {
  async serve([service, name = "", schema = "", ...rest]) {
    const regions: Record<string, RegionOptions> = {};
    const streams: Record<string, { byteLength: number; slots: number }> = {};
    const served: Record<string, { byteLength: number }> = {};
    for (let at = 0; at + 2 < rest.length; at += 3) {
      const words = rest.slice(at + 1);
      if (words[1] === "channel") {
        served[rest[at]!] = { byteLength: Number(words[0]) };
        continue;
      }
      const stream = streamOf(words);
      if (stream === undefined) regions[rest[at]!] = optionsOf(words);
      else streams[rest[at]!] = stream;
    }
    const broker = { service, embedded: false };
    server = await serve(name, {
      regions,
      streams,
      channels: served,
      schema: schemaOf(schema),
      broker,
      request: echo,
      message: keepMessage,
    });
    for (const channel of Object.keys(served)) void keepChannels(server, channel);
  },
  async put([name = "", ...rest]) {
    const stream = streamOf(rest);
    if (stream !== undefined) {
      if (server!.streams.includes(name)) await server!.replaceStream(name, stream);
      else await server!.addStream(name, stream);
      return;
    }
    if (server!.regions.includes(name)) await server!.replace(name, optionsOf(rest));
    else await server!.add(name, optionsOf(rest));
  },
  clients: () => server!.clients,
  async connect([service, name = "", schema = ""]) {
    // Without reconnecting: the tests connect anew themselves, so that they know to which server.
    const options = { schema: schemaOf(schema), reconnect: false, broker: { service, embedded: false } };
    client = await connect(name, { ...options, request: echo });
    void takeAll(client);
  },
  async open([name = "", access]) {
    const region = access === "write" ? await client!.open(name, { write: true }) : await client!.open(name);
    opened.set(name, region);
    return `${region.generation} ${region.byteLength}`;
  },
  write([name = "", at, byte]) {
    writable(name).view(Uint8Array)[Number(at)] = Number(byte);
  },
  read: ([name = "", at]) => regionOf(name).view(Uint8Array)[Number(at)],
  commit: ([name = ""]) => writable(name).commit(),
  commit_range: ([name = "", offset, length]) =>
    writable(name).commit([{ byteOffset: Number(offset), byteLength: Number(length) }]),
  copy([name = "", since]) {
    const region = regionOf(name);
    let copy = copies.get(name);
    if (copy?.length !== region.byteLength) copies.set(name, copy = new Uint8Array(region.byteLength));
    const { revision, bytesCopied, consistent } = region.copyChanges(copy, Number(since));
    return `${revision} ${bytesCopied} ${consistent ? "consistent" : "mixed"}`;
  },
  copied: ([name = "", at]) => copies.get(name)?.[Number(at)],
  revision: ([name = ""]) => regionOf(name).revision,
  async wait([name = "", after, how], say) {
    const region = regionOf(name);
    if (how === "futex") {
      say("parked");
      return `${region.waitSync(Number(after), { spin: 0 })} ${region.generation}`;
    }
    const changes = region.changes({ after: Number(after), spin: 0 });
    const next = changes.next(); // has parked by now, or started a thread that does
    say("parked");
    const { value, done } = await next;
    await changes.return();
    if (done) throw new Refusal("closed");
    return `${value.revision} ${value.generation}`;
  },
  async lock([name = "", milliseconds], say) {
    const mutex = regionOf(name).mutex;
    const lock = mutex.lock(Number(milliseconds) < 0 ? {} : { timeout: Number(milliseconds) });
    say("parked");
    return keep(name, await lock);
  },
  trylock([name = ""]) {
    const guard = regionOf(name).mutex.tryLock();
    return guard === undefined ? "busy" : keep(name, guard);
  },
  request: ([text = ""]) => other().request(text),
  async send([text = "", count]) {
    const to = other();
    for (let left = Number(count); left > 0; left--) await to.sendAsync(text);
    await to.request(""); // comes after the messages, which are taken at once
  },
  taken: () => `${taken} ${last}`,
  loan: ([name = "", kind]) => keepLoan(server!.stream(name).loan({ revoke: kind === "revoke" })),
  async loan_wait([name = "", milliseconds], say) {
    const timeout = Number(milliseconds);
    const loan = server!.stream(name).loanAsync(timeout < 0 ? {} : { timeout });
    say("parked");
    return keepLoan(await loan);
  },
  fill([, loan = "", byte]) {
    found(loans.get(loan)).view(Uint8Array).fill(Number(byte));
  },
  publish([, loan = "", byteLength, timestamp, record]) {
    return found(loans.get(loan)).publish({
      byteLength: Number(byteLength),
      timestamp: Number(timestamp),
      record: new Uint8Array(64).fill(Number(record)),
    });
  },
  unloan([, loan = ""]) {
    found(loans.get(loan))[Symbol.dispose]();
  },
  readers: ([name = ""]) => server!.stream(name).readers,
  async stream([name = "", id = "", order]) {
    const reader = await client!.stream(name, { order: order === "every" ? "every" : "newest", spin: 0 });
    readers.set(id, reader);
    return `${reader.generation} ${reader.byteLength} ${reader.slots}`;
  },
  frame([id = ""]) {
    try {
      return tell(found(readers.get(id)).waitSync({ timeout: 0, spin: 0 }));
    } catch (error) {
      if (error instanceof DOMException && error.name === "TimeoutError") return "none";
      throw error;
    }
  },
  async await([id = "", how], say) {
    const reader = found(readers.get(id));
    if (how === "futex") {
      say("parked");
      return tell(reader.waitSync({ spin: 0 }));
    }
    const next = reader[Symbol.asyncIterator]().next();
    say("parked");
    const { value } = await next;
    if (value === undefined) throw new Refusal("closed");
    return tell(value);
  },
  look([, id = ""]) {
    const lease = found(leases.get(id));
    const bytes = lease.view(Uint8Array);
    const [first, last] = [bytes[0], bytes[bytes.length - 1]];
    return `${lease.valid ? "valid" : "revoked"} ${first} ${last}`;
  },
  release([, id = ""]) {
    found(leases.get(id)).release();
  },
  async shut([id = ""]) {
    await found(readers.get(id)).close();
  },
  async follow([id = ""]) {
    const reader = found(readers.get(id));
    await reader.follow();
    return reader.generation;
  },
  async channel([name = ""]) {
    try {
      const channel = await client!.channel(name);
      channels.set(name, channel);
      return channel.byteLength;
    } catch (error) {
      // A refusal that has no class of its own.
      throw (error as Error).constructor === Error ? new Refusal("failed") : error;
    }
  },
  post: ([name = "", length, byte]) =>
    found(channels.get(name)).send(messageOf(length, byte)) ? "sent" : "full",
  async post_wait([name = "", length, byte], say) {
    const sending = found(channels.get(name)).sendAsync(messageOf(length, byte));
    say("parked");
    await sending;
    return "sent";
  },
  pull([name = ""]) {
    const message = found(channels.get(name)).receive();
    return message === undefined ? "none" : tellMessage(message);
  },
  async pull_wait([name = "", how], say) {
    const channel = found(channels.get(name));
    if (how === "futex") {
      say("parked");
      return tellMessage(channel.receiveSync({ spin: 0 }));
    }
    const next = channel.messages({ spin: 0 }).next();
    say("parked");
    const { value } = await next;
    if (value === undefined) throw new Refusal("closed");
    return tellMessage(value);
  },
  async hangup([name = ""]) {
    await found(channels.get(name)).close();
  },
  unlock([name = ""]) {
    guards.get(name)?.unlock();
    guards.delete(name);
  },
  async putlock([name = "", kind = "", limit = ""]) {
    await server!.addLock(name, specOf(kind, limit));
  },
  async openlock([name = ""]) {
    const lock = await client!.lock(name);
    locks.set(name, lock);
    return `${lock.kind} ${lock instanceof Semaphore ? lock.limit : 0}`;
  },
  async take([name = "", mode = "", milliseconds], say) {
    const lock = lockOf(name);
    const taken = take(lock, mode, Number(milliseconds) < 0 ? {} : { timeout: Number(milliseconds) });
    say("parked");
    return hold(name, await taken);
  },
  try: ([name = "", mode = ""]) => hold(name, tryTake(lockOf(name), mode)),
  give([name = ""]) {
    const guard = holds.get(name)?.pop();
    if (guard === undefined) throw new Refusal("not_held");
    guard.unlock();
  },
  set([name = ""]) {
    const lock = lockOf(name);
    if ("set" in lock) lock.set();
  },
  reset([name = ""]) {
    const lock = lockOf(name);
    if ("reset" in lock) lock.reset();
  },
};

/** Keeps the end of the client that opened a channel last. */
async function keepChannels(server: Server, name: string): Promise<void> {
  for await (const channel of server.channel(name)) channels.set(name, channel);
}

function messageOf(length: string | undefined, byte: string | undefined): Uint8Array {
  return new Uint8Array(Number(length)).fill(Number(byte));
}

function tellMessage(bytes: Uint8Array): string {
  return `${bytes.length} ${bytes[0] ?? 0} ${bytes.at(-1) ?? 0}`;
}

/** Answers with what was asked. */
function echo(value: MessageValue): MessageValue {
  if (value === "fail") throw new Error("Cannot do this");
  return value;
}

function keepMessage(value: MessageValue): void {
  taken++;
  last = value;
}

async function takeAll(client: Client): Promise<void> {
  try {
    for await (const value of client.messages()) keepMessage(value);
  } catch (error) {
    if (!(error instanceof PeerGoneError)) throw error;
  }
}

/** The other side: the server, or the first client. */
function other(): Client | ConnectedClient {
  const [first] = server?.peers ?? [];
  const found = client ?? first;
  if (found === undefined) throw new Refusal("gone");
  return found;
}

function codeOf(error: unknown): string {
  if (error instanceof Refusal) return error.message;
  if (error instanceof IncompatibleError) {
    return /is not of this version|user/.test(error.message) ? "unusable" : "incompatible";
  }
  if (error instanceof RemoteError) return "handler";
  if (error instanceof PeerGoneError) return "gone";
  if (error instanceof NoSlotError) return ["no_slot", ...error.pids].join(" ");
  if (error instanceof DOMException && error.name === "InvalidStateError") return "replaced";
  if (error instanceof Deno.errors.NotFound) return "not_found";
  if (error instanceof Deno.errors.NotCapable) return "read_only";
  if (error instanceof DOMException && error.name === "TimeoutError") return "timeout";
  if (error instanceof TypeError && error.message.endsWith("it is closed")) return "closed";
  if (error instanceof Error && error.message.includes("no ring can hold")) return "broken";
  return `unusable ${String(error).replaceAll(/\s+/g, " ")}`;
}

async function run(line: string): Promise<void> {
  const [id, name = "", ...words] = line.split(" ");
  const say = (text: string): void => console.log(`${id} ${text}`);
  try {
    const command = commands[name];
    if (command === undefined) throw new Refusal("unknown");
    say(`ok ${(await command(words, say)) ?? ""}`.trimEnd());
  } catch (error) {
    say(`error ${codeOf(error)}`);
  }
}

const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
for await (const line of lines) void run(line);
await server?.close();
await client?.close();
Deno.exit(0);
