import Broker
import Testing

@Suite("list, watch and status")
struct WatchTests {
  var desk = Desk()

  @Test("list orders the services by the bytes of their names")
  mutating func list() {
    let peer = desk.join(1)
    let other = desk.join(2)
    for name in ["b", "a.c", "a-c", "B", "a"] { desk.register(peer, name) }
    desk.time.wall = 2_000_000
    desk.register(other, "_")
    func entry(_ name: String, _ generation: UInt64, _ pid: Int64) -> Message {
      [
        .name: .string(name), .generation: .uint64(generation), .pid: .int64(pid),
        .since: .date(Int64(generation) * 1000),
      ]
    }
    #expect(
      desk.ask(peer, .plain("list")) == [
        .ok: .bool(true),
        .services: .array([
          entry("B", 1_000_000, 101), entry("_", 2_000_000, 102), entry("a", 1_000_000, 101),
          entry("a-c", 1_000_000, 101), entry("a.c", 1_000_000, 101), entry("b", 1_000_000, 101),
        ]),
      ])
  }

  @Test("list answers an empty array without registrations")
  mutating func empty() {
    let peer = desk.join(1)
    #expect(desk.ask(peer, .plain("list")) == [.ok: .bool(true), .services: .array([])])
  }

  @Test("watch answers the list, and each change causes an event until unwatch")
  mutating func watch() {
    let server = desk.join(1)
    let watcher = desk.join(2)
    desk.register(server, "a")
    #expect(desk.ask(watcher, .plain("watch")) == desk.ask(watcher, .plain("list")))
    #expect(
      desk.effects(server, .register("b")).events(to: watcher) == [
        .change("registered", "b", 1_000_000, pid: 101)
      ])
    desk.ask(watcher, .plain("watch"))
    #expect(desk.effects(server, .unregister("b", 1_000_000)).events(to: watcher).count == 1)
    #expect(desk.ask(watcher, .plain("unwatch")) == .done)
    #expect(desk.ask(watcher, .plain("unwatch")) == .done)
    #expect(desk.effects(server, .register("b")).events(to: watcher) == [])
  }

  @Test("a watcher gets the events of its own requests too")
  mutating func ownRequests() {
    let peer = desk.join(1)
    desk.ask(peer, .plain("watch"))
    #expect(
      desk.effects(peer, .register("a")).events(to: peer) == [
        .change("registered", "a", 1_000_000, pid: 101)
      ])
    #expect(
      desk.effects(peer, .register("a")).events(to: peer) == [
        .change("unregistered", "a", 1_000_000, pid: 101), .change("registered", "a", 1_000_001, pid: 101),
      ])
    #expect(
      desk.effects(peer, .unregister("a", 1_000_001)).events(to: peer) == [
        .change("unregistered", "a", 1_000_001, pid: 101)
      ])
  }

  @Test("a dead watcher gets no events, not even of its own registrations")
  mutating func deadWatcher() {
    let peer = desk.join(1)
    let other = desk.join(2)
    desk.ask(peer, .plain("watch"))
    desk.register(peer, "a")
    #expect(desk.core.gone(peer) == [.transaction(false)])
    #expect(desk.effects(other, .register("a")).events(to: peer) == [])
    #expect(desk.ask(other, .plain("status"))?[.watchers] == .uint64(0))
  }

  @Test("status counts, in the order of PROTOCOL.md")
  mutating func status() {
    let peer = desk.join(1)
    let other = desk.join(2)
    _ = desk.connect(3)
    desk.register(peer, "a")
    desk.register(peer, "b")
    desk.ask(other, .lookup("c", wait: true))
    desk.ask(other, .plain("watch"))
    desk.time.uptime = 1234
    #expect(
      desk.ask(peer, .plain("status")) == [
        .ok: .bool(true), .broker: .string("swift"), .release: .string(release), .pid: .int64(77),
        .service: .string("test.broker"), .version: .uint64(1), .uptime: .uint64(1234),
        .peers: .uint64(3), .services: .uint64(2), .waiting: .uint64(1), .watchers: .uint64(1),
      ])
  }
}
