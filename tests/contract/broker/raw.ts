/**
 * Packets as they are on the wire of Linux (`ffi/native/linux/packet.c`), sent and received without the library: what
 * a broker says is compared byte by byte.
 */
import { assert, assertEquals } from "@std/assert";

const AF_UNIX = 1;
const SOCK_SEQPACKET_CLOEXEC = 5 | 0o2000000;
const O_PATH_CLOEXEC = 0o10000000 | 0o2000000;
const SOL_SOCKET = 1;
const SO_PASSCRED = 16;
const SO_RCVTIMEO = 20;
const SCM_RIGHTS = 1;
const SCM_CREDENTIALS = 2;
const MSG_CMSG_CLOEXEC = 0x40000000;
const CONTROL_BYTES = 256;
const PATIENCE_SECONDS = 60n;

/** The size of `struct xpc_header`. */
export const HEADER_BYTES = 32;

// Opened with the module, and for its life: the sanitizer would report a library that a test opens.
const libc = Deno.build.os === "linux"
  ? Deno.dlopen("libc.so.6", {
    socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
    open: { parameters: ["buffer", "i32"], result: "i32" },
    connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
    setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
    sendmsg: { parameters: ["i32", "buffer", "i32"], result: "isize" },
    recvmsg: { parameters: ["i32", "buffer", "i32"], result: "isize", nonblocking: true },
    close: { parameters: ["i32"], result: "i32" },
    seteuid: { parameters: ["u32"], result: "i32" },
    setfsuid: { parameters: ["u32"], result: "i32" },
  }).symbols
  : undefined;

/** A packet that came. */
export interface Packet {
  /** The header and the body. */
  readonly bytes: Uint8Array;
  /** The descriptors beside them; the receiver's to close. */
  readonly descriptors: readonly number[];
}

function c(): NonNullable<typeof libc> {
  assert(libc !== undefined, "packets can be read on Linux only");
  return libc;
}

/** What an endpoint is on the wire: a descriptor of a socket's file that can do nothing but name it. */
export function openPort(path: string): number {
  const fd = c().open(new TextEncoder().encode(`${path}\0`), O_PATH_CLOEXEC);
  assert(fd >= 0, `a socket is at ${path}`);
  return fd;
}

/** Closes a descriptor. */
export function close(fd: number): void {
  c().close(fd);
}

/** `struct msghdr` with one part and room for control messages; all that it points to is kept alive. */
class MessageHeader {
  readonly header = new Uint8Array(56);
  readonly control = new Uint8Array(CONTROL_BYTES);
  readonly #view = new DataView(this.header.buffer);
  readonly #part = new BigUint64Array(2);
  readonly #bytes: Uint8Array<ArrayBuffer>;

  constructor(bytes: Uint8Array<ArrayBuffer>, controlLength: number) {
    this.#bytes = bytes;
    this.#part.set([addressOf(this.#bytes), BigInt(bytes.length)]);
    this.#view.setBigUint64(16, addressOf(new Uint8Array(this.#part.buffer)), true);
    this.#view.setBigUint64(24, 1n, true);
    this.#view.setBigUint64(32, addressOf(this.control), true);
    this.#view.setBigUint64(40, BigInt(controlLength), true);
  }

  get controlLength(): number {
    return Number(this.#view.getBigUint64(40, true));
  }
}

function addressOf(bytes: Uint8Array<ArrayBuffer>): bigint {
  return BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes)));
}

/** A connection to a service's socket. */
export class RawConnection implements Disposable {
  readonly #fd: number;
  #requests = 0n;

  /** Connects to the socket at `path`; root may do so in the name of another user, with root's way to the file. */
  constructor(path: string, user?: number) {
    this.#fd = c().socket(AF_UNIX, SOCK_SEQPACKET_CLOEXEC, 0);
    assert(this.#fd >= 0, "a socket can be had");
    const address = new Uint8Array(110);
    new DataView(address.buffer).setUint16(0, AF_UNIX, true);
    address.set(new TextEncoder().encode(path), 2);
    assertEquals(c().setsockopt(this.#fd, SOL_SOCKET, SO_PASSCRED, new Int32Array([1]), 4), 0);
    const patience = new BigInt64Array([PATIENCE_SECONDS, 0n]);
    assertEquals(c().setsockopt(this.#fd, SOL_SOCKET, SO_RCVTIMEO, patience, 16), 0);
    if (user !== undefined) {
      assertEquals(c().seteuid(user), 0);
      c().setfsuid(0);
    }
    const result = c().connect(this.#fd, address, address.length);
    if (user !== undefined) assertEquals(c().seteuid(0), 0);
    assertEquals(result, 0, `a service listens at ${path}`);
  }

  /** Sends a message that awaits a reply, or none. */
  send(body: Uint8Array, descriptors: readonly number[], awaitsReply: boolean): void {
    const packet = new Uint8Array(HEADER_BYTES + body.length);
    const view = new DataView(packet.buffer);
    view.setUint32(0, 0x4c435058, true);
    view.setUint8(4, 1); // version
    view.setUint8(5, 4); // a message
    view.setBigUint64(8, awaitsReply ? ++this.#requests : 0n, true);
    view.setUint32(24, body.length, true);
    view.setUint32(28, descriptors.length, true);
    packet.set(body, HEADER_BYTES);
    this.sendPacket(packet, descriptors);
  }

  /** Sends any bytes as a packet. */
  sendPacket(packet: Uint8Array<ArrayBuffer>, descriptors: readonly number[] = []): void {
    const message = new MessageHeader(packet, 32 + (descriptors.length > 0 ? 24 : 0));
    const control = new DataView(message.control.buffer);
    control.setBigUint64(0, 28n, true);
    control.setInt32(8, SOL_SOCKET, true);
    control.setInt32(12, SCM_CREDENTIALS, true);
    control.setInt32(16, Deno.pid, true);
    control.setUint32(20, Deno.uid()!, true);
    control.setUint32(24, Deno.gid()!, true);
    assert(descriptors.length <= 1, "one descriptor is enough for an endpoint");
    if (descriptors.length > 0) {
      control.setBigUint64(32, 20n, true);
      control.setInt32(40, SOL_SOCKET, true);
      control.setInt32(44, SCM_RIGHTS, true);
      control.setInt32(48, descriptors[0]!, true);
    }
    assertEquals(Number(c().sendmsg(this.#fd, message.header, 0)), packet.length);
  }

  /** The next packet; none at the end of the connection. */
  async receive(): Promise<Packet | undefined> {
    const bytes = new Uint8Array(HEADER_BYTES + 32 * 1024);
    const message = new MessageHeader(bytes, CONTROL_BYTES);
    let length = Number(await c().recvmsg(this.#fd, message.header, MSG_CMSG_CLOEXEC));
    // The end of a peer that left something unread makes one call fail: what it sent before, and the end, follow.
    if (length < 0) length = Number(await c().recvmsg(this.#fd, message.header, MSG_CMSG_CLOEXEC));
    assert(length >= 0, "a packet or the end comes in time");
    if (length === 0) return undefined;
    const descriptors: number[] = [];
    const control = new DataView(message.control.buffer, 0, message.controlLength);
    for (let at = 0; at + 16 <= control.byteLength;) {
      const size = Number(control.getBigUint64(at, true));
      if (control.getInt32(at + 12, true) === SCM_RIGHTS) {
        for (let fd = at + 16; fd < at + size; fd += 4) descriptors.push(control.getInt32(fd, true));
      }
      at += (size + 7) & ~7;
    }
    return { bytes: bytes.slice(0, length), descriptors };
  }

  /** Waits for the end. Before it comes nothing that the broker said: at most the library's word on who listens. */
  async refused(): Promise<void> {
    for (let packet = await this.receive(); packet !== undefined; packet = await this.receive()) {
      assertEquals([packet.bytes.length, packet.bytes[5]], [HEADER_BYTES, 2]);
    }
  }

  [Symbol.dispose](): void {
    close(this.#fd);
  }
}
