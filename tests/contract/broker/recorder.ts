/** Exchanges with a broker, packet by packet, made comparable: the same for every broker, or one of them is wrong. */
import { assert, assertEquals } from "@std/assert";
import type { XpcRecord } from "../../../src/xpc/mod.ts";
import { serviceSocketPath } from "../../support/socket_path.ts";
import type { BrokerProcess } from "./brokers.ts";
import { close, HEADER_BYTES, openPort, RawConnection } from "./raw.ts";
import { ENDPOINT, type Node, nodeOf, read, write } from "./wire_format.ts";

/** How much of a request is kept, in characters. */
const LONGEST_REQUEST = 160;

/** The kind of a packet that is a message: from a broker, a reply or an event. */
const MESSAGE = 4;

/** Who, which way (">" to the broker), and the packet: what is sent in words, what comes in bytes as well. */
export type Line = readonly [who: string, packet: string];

/** Records what some connections exchange with a broker. */
export class Recorder implements Disposable {
  readonly lines: Line[] = [];
  readonly #broker: BrokerProcess;
  readonly #connections = new Map<string, RawConnection>();
  readonly #generations: bigint[] = [];

  constructor(broker: BrokerProcess) {
    this.#broker = broker;
  }

  /** The generation of the n-th registration, as it really is: to be sent back. */
  generation(nth: number): bigint {
    const generation = this.#generations[nth - 1];
    assert(generation !== undefined, `there were ${nth} registrations`);
    return generation;
  }

  /** Sends a request that awaits a reply, or a message; its `endpoint` may be {@linkcode ENDPOINT}. */
  send(who: string, record: XpcRecord, awaitsReply = true): void {
    const connection = this.#connections.get(who) ?? this.#connect(who);
    const ports = record["endpoint"] === ENDPOINT ? [openPort(serviceSocketPath(this.#broker.service))] : [];
    const node = nodeOf(record);
    connection.send(write(node), ports, awaitsReply);
    ports.forEach(close);
    this.#replace(node);
    this.lines.push([`${who} >`, describe(node).slice(0, LONGEST_REQUEST)]); // ours: told, not compared
  }

  /** Sends bytes that are no message. */
  sendJunk(who: string, bytes: Uint8Array<ArrayBuffer>): void {
    (this.#connections.get(who) ?? this.#connect(who)).sendPacket(bytes);
    this.lines.push([`${who} >`, `junk ${bytes.toHex()}`]);
  }

  /** Receives packets. No order is promised between replies and events: the replies are recorded first. */
  async receive(who: string, count = 1): Promise<void> {
    const packets: { order: bigint; text: string }[] = [];
    for (let index = 0; index < count; index++) {
      const packet = await this.#connections.get(who)!.receive();
      packet?.descriptors.forEach(close);
      const text = packet === undefined ? "end" : this.#comparable(packet.bytes, packet.descriptors.length);
      packets.push({ order: orderOf(packet?.bytes), text });
    }
    packets.sort((a, b) => a.order < b.order ? -1 : a.order > b.order ? 1 : 0);
    for (const { text } of packets) this.lines.push([`${who} <`, text]);
  }

  /** A request, its reply, and the events that come with it. */
  async ask(who: string, record: XpcRecord, count = 1): Promise<void> {
    this.send(who, record);
    await this.receive(who, count);
  }

  /** Connects and says hello: a packet that tells who listens comes first. */
  async hello(who: string): Promise<void> {
    await this.ask(who, { op: "hello", min: 1n, max: 1n }, 2);
  }

  /** Ends a connection. */
  leave(who: string): void {
    this.#connections.get(who)?.[Symbol.dispose]();
    this.#connections.delete(who);
    this.lines.push([`${who} >`, "end"]);
  }

  [Symbol.dispose](): void {
    for (const connection of this.#connections.values()) connection[Symbol.dispose]();
    this.#connections.clear();
  }

  #connect(who: string): RawConnection {
    const connection = new RawConnection(serviceSocketPath(this.#broker.service));
    this.#connections.set(who, connection);
    return connection;
  }

  /** The bytes, but for what differs from run to run: that is replaced, and the length with it. */
  #comparable(bytes: Uint8Array, descriptors: number): string {
    const header = bytes.slice(0, HEADER_BYTES);
    const body = bytes.slice(HEADER_BYTES);
    const view = new DataView(header.buffer);
    assertEquals(view.getUint32(24, true), body.length, "the header tells the length");
    if (body.length === 0) return `${header.toHex()} fds=${descriptors}`;
    const node = read(body);
    assertEquals(write(node).toHex(), body.toHex(), "a packet has one form only");
    this.#remember(node);
    this.#replace(node);
    const replaced = write(node);
    view.setUint32(24, replaced.length, true);
    return `${header.toHex()} fds=${descriptors} ${replaced.toHex()} ${describe(node)}`;
  }

  #remember(node: Node): void {
    if (!("entries" in node)) return;
    const { registered, generation } = Object.fromEntries(node.entries);
    if (registered?.tag === 2 && registered.flag === 1 && generation?.tag === 4) {
      this.#generations.push(generation.number);
    }
  }

  #replace(node: Node): void {
    if ("items" in node) node.items.forEach((item) => this.#replace(item));
    if (!("entries" in node)) return;
    for (const [key, value] of node.entries) {
      this.#replace(value);
      if (value.tag === 3 && key === "pid" || value.tag === 6 && key === "since") value.number = 0n;
      else if (value.tag === 4 && (key === "uptime" || key === "peers")) value.number = 0n;
      else if (value.tag === 4 && ["generation", "by", "after"].includes(key)) {
        value.number = ofClock(value.number);
      } else if (value.tag === 8 && ["broker", "service"].includes(key)) value.text = key.toUpperCase();
    }
  }
}

/** The place of a packet: who listens, the replies in the order of their requests, the events, the end. */
function orderOf(bytes: Uint8Array | undefined): bigint {
  const last = 2n ** 64n;
  if (bytes === undefined) return last + 1n;
  if (bytes[5] !== MESSAGE) return 0n;
  // The number of the request that is answered; an event answers none.
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(16, true) || last;
}

/** A generation as it is told where it follows from the clock; those that a test chose stay. */
function ofClock(generation: bigint): bigint {
  return generation < 1_000_000n || generation >= 2n ** 52n ? generation : 1_000_000n;
}

/** For people who compare two recordings. */
function describe(node: Node): string {
  if ("items" in node) return `[${node.items.map(describe).join(", ")}]`;
  if ("entries" in node) {
    return `{${node.entries.map(([key, value]) => `${key}: ${describe(value)}`).join(", ")}}`;
  }
  if ("text" in node) return JSON.stringify(node.text);
  if ("number" in node) return `${["int64", "uint64", "double", "date"][node.tag - 3]} ${node.number}`;
  if ("bytes" in node) return `data ${node.bytes.toHex()}`;
  return ["null", "false", "true", "endpoint"][node.tag === 1 ? 0 : node.tag === 12 ? 3 : 1 + node.flag!]!;
}
