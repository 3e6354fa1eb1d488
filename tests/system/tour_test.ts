/** A tour of the API: each thing that a user writes, in the form in which it is documented, in one pair of apps. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  connect,
  exists,
  join,
  layout,
  list,
  NoSlotError,
  type Peer,
  serve,
  ServiceNotFoundError,
  waitAny,
  waitAnySync,
  watch,
} from "../../mod.ts";
import { brokerName, ownBroker, uniqueName } from "../support/process.ts";

const Frame = layout({
  width: "u32",
  height: "u32",
  timestamp: "f64",
  camera: ["f32", 16],
  pixels: ["u8", 64],
});

Deno.test("a tour: regions, ranges and layouts", async () => {
  const name = uniqueName("tour");
  const broker = { service: brokerName() };
  await using studio = await serve(name, {
    broker,
    regions: {
      scene: { byteLength: 2 ** 20 },
      frame: { layout: Frame },
      mask: { byteLength: 4096, clients: "read" },
    },
  });
  await using client = await connect(name, { broker, signal: AbortSignal.timeout(10_000), label: "viewer" });
  const ours = studio.region("scene");
  const scene = await client.open("scene");
  const target = new Uint8Array(scene.byteLength);
  ours.commit();
  let { revision: last } = scene.copyChanges(target);
  assertEquals(last, 1);
  const changes = scene.changes({ after: last });
  ours.mutex.withSync(() => {
    ours.view(Uint8Array)[4096] = 9;
    ours.commit([{ byteOffset: 4096, byteLength: 100 }]);
  });
  const { value: change } = await changes.next();
  assertEquals(change?.ranges, [{ byteOffset: 0, byteLength: 65536 }]);
  const { revision, bytesCopied, consistent } = scene.copyChanges(target, last);
  last = revision;
  assertEquals([last, bytesCopied, consistent, target[4096]], [2, 65536, true, 9]);
  assertEquals(await ours.mutex.with(() => 7), 7);
  studio.region("frame").view(Frame).width = 1920;
  assertEquals((await client.open("frame")).view(Frame).width, 1920);
  assertEquals((await client.regions()).map((region) => region.name), ["scene", "frame", "mask"]);
  assertEquals([...studio.peers].map((peer) => [peer.pid, peer.name]), [[Deno.pid, "viewer"]]);
  await studio.remove("mask");
  await assertRejects(() => client.open("mask"), Deno.errors.NotFound);
});

Deno.test("a tour: streams", async () => {
  const name = uniqueName("tour");
  const broker = { service: brokerName() };
  await using studio = await serve(name, { broker, streams: { video: { byteLength: 4096, slots: 4 } } });
  await using client = await connect(name, { broker });
  const video = studio.stream("video");
  const reader = await client.stream("video");
  const all = await client.stream("video", { order: "every" });
  for (let count = 0; count < 3; count++) {
    using frame = video.loan();
    frame.view(Uint8Array).fill(count);
    frame.publish({ timestamp: performance.now() });
  }
  for await (using frame of reader) {
    assertEquals([frame.view(Uint8Array)[0], frame.sequence, frame.dropped, frame.valid], [2, 3, 2, true]);
    assert(frame.timestamp > 0);
    break;
  }
  {
    using frame = reader.latest();
    assertEquals(frame?.sequence, 3);
    using next = all.waitSync({ after: 0, timeout: 1000, spin: 10 });
    assertEquals(next.sequence, 1);
  }
  using _one = video.loan();
  using _two = video.loan();
  using _three = video.loan();
  try {
    video.loan();
  } catch (error) {
    assert(error instanceof NoSlotError);
  }
  await assertRejects(() => video.loanAsync({ timeout: 1 }), DOMException);
});

Deno.test("a tour: locks, messages and channels", async () => {
  const name = uniqueName("tour");
  const broker = { service: brokerName() };
  const heard = Promise.withResolvers<unknown>();
  await using studio = await serve(name, {
    broker,
    regions: { scene: { byteLength: 4096 } },
    locks: {
      device: "mutex",
      catalog: "rwlock",
      budget: { semaphore: 4 },
      ready: { event: "manual" },
      tick: { event: "auto" },
    },
    channels: { midi: { byteLength: 65536 } },
    request: (value) => typeof value === "number" ? value + 1 : null,
    message: (value) => heard.resolve(value),
  });
  await using client = await connect(name, { broker });
  const catalog = await client.lock("catalog", "rwlock");
  {
    using _ = await catalog.read({ timeout: 100 });
  }
  {
    using _ = await catalog.write();
  }
  const budget = await client.lock("budget", "semaphore");
  {
    using _ = await budget.acquire();
  }
  const ready = await client.lock("ready", "manual");
  const scene = await client.open("scene", { write: true });
  studio.lock("ready", "manual").set();
  assertEquals(await waitAny([scene, ready], { timeout: 1000 }), 1);
  ready.reset();
  studio.region("scene").commit();
  assertEquals(waitAnySync([ready, scene], { timeout: 1000 }), 1);
  assertEquals(await client.request(3, { timeout: 1000 }), 4);
  client.send({ seek: 3 });
  assertEquals(await heard.promise, { seek: 3 });
  for (const peer of studio.peers) peer.send("hello");
  for await (const value of client.messages()) {
    assertEquals(value, "hello");
    break;
  }
  const midi = await client.channel("midi");
  assert(midi.send(new Uint8Array([1, 2])));
  await midi.sendAsync(new Uint8Array([3]));
  const [theirs] = studio.channel("midi").open;
  assertEquals(theirs?.receive(), new Uint8Array([1, 2]));
  assertEquals(theirs?.receiveSync(), new Uint8Array([3]));
});

Deno.test("a tour: who is there, following and taking over", { ignore: !ownBroker }, async () => {
  const name = uniqueName("tour");
  const broker = { service: brokerName() };
  await assertRejects(() => connect(name, { broker, wait: false }), ServiceNotFoundError);
  await using _keeper = await serve(uniqueName("keeper"), { broker, regions: {} });
  const stop = new AbortController();
  const services = watch({ broker, signal: stop.signal });
  const options = { broker, regions: { scene: { byteLength: 4096 } } };
  const first = await join(name, { ...options, takeOver: true });
  await using second: Peer = await join(name, { ...options, takeOver: true });
  assertEquals([first.role, second.role], ["server", "client"]);
  assert(await exists(name, { broker }));
  assert((await list({ broker })).some((service) => service.name === name && service.pid === Deno.pid));
  for await (const change of services) if (change.name === name) break;
  stop.abort();
  const scene = await first.open("scene", { write: true });
  scene.view(Uint8Array)[0] = 42;
  scene.commit();
  const changed = Promise.withResolvers<void>();
  second.addEventListener("rolechange", () => changed.resolve());
  await first.close();
  await changed.promise;
  assertEquals([second.role, second.region("scene").view(Uint8Array)[0]], ["server", 42]);
  await using client = await connect(name, { broker });
  for await (const region of client.follow("scene")) {
    assertEquals([region.view(Uint8Array)[0], region.generation], [42, 2]);
    break;
  }
});
