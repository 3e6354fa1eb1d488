/** Layouts of regions between a server and its clients. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { connect, IncompatibleError, layout, serve } from "../../mod.ts";
import { App, brokerName, ownBroker, uniqueName } from "../support/process.ts";

const Frame = layout({ width: "u32", height: "u32", timestamp: "f64", camera: ["f32", 16] });
const Other = layout({ width: "u32", height: "u16", timestamp: "f64", camera: ["f32", 16] });

Deno.test("a client with another layout is refused, and the first field that differs is named", async () => {
  const name = uniqueName("service");
  const broker = { service: brokerName() };
  const regions = { frame: { layout: Frame }, free: { byteLength: 4096 } };
  await using server = await serve(name, { broker, regions });
  await using client = await connect(name, { broker });
  const error = await assertRejects(() => client.open("frame", { layout: Other }), IncompatibleError);
  assertEquals(
    error.message,
    'Cannot open "frame": the layouts of server and client differ, first at "height": the server has u32, ' +
      "the client has u16",
  );
  await assertRejects(() => client.open("frame", { layout: {} } as never), TypeError, "layout");
  const frame = await client.open("frame", { layout: Frame });
  server.region("frame").view(Frame).width = 1920;
  assertEquals(frame.view(Frame).width, 1920);
  assertThrows(() => frame.view(Other), IncompatibleError, '"height": this app has u16, the server has u32');
  assertEquals(frame.view(Other, 0).width, 1920, "with an offset it is the caller's choice");
  const free = await client.open("free", { layout: Other }); // a region without a layout takes any
  assertEquals(free.view(Frame).width, 0);
});

Deno.test("a region that is replaced keeps its layout, unless it gets another", async () => {
  const name = uniqueName("service");
  const broker = { service: brokerName() };
  await using server = await serve(name, { broker, regions: { frame: { layout: Frame } } });
  await using client = await connect(name, { broker });
  await server.replace("frame", { byteLength: 4096 });
  await assertRejects(() => client.open("frame", { layout: Other }), IncompatibleError, "height");
  await server.replace("frame", { layout: Other });
  assertEquals((await client.open("frame", { layout: Other })).byteLength, Other.byteLength);
});

Deno.test("an app that knows no layouts opens a region that has one", { ignore: !ownBroker }, async () => {
  const name = uniqueName("service");
  const broker = brokerName();
  await using server = await serve(name, {
    broker: { service: broker },
    regions: { frame: { layout: Frame } },
  });
  server.region("frame").view(Frame).height = 3;
  await using app = new App();
  await app.call("connect", { name, broker });
  await app.call("open", { region: "frame" });
  assertEquals(await app.call("sum", { region: "frame" }), { total: 3, length: Frame.byteLength });
});
