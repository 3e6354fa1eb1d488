import Broker
import Testing

@Suite("lookup and cancel")
struct LookupTests {
  var desk = Desk()

  @Test("lookup finds a registration whose generation is above after")
  mutating func found() {
    let server = desk.join(1)
    let client = desk.join(2)
    desk.register(server, "a")
    let found = Message.found("to a", generation: 1_000_000, pid: 101)
    #expect(desk.ask(client, .lookup("a")) == found)
    #expect(desk.ask(client, [.op: .string("lookup"), .name: .string("a")]) == found)
    #expect(desk.ask(client, .lookup("a", after: 999_999)) == found)
    #expect(desk.ask(client, .lookup("a", after: 1_000_000)) == .notFound)
    #expect(desk.ask(client, .lookup("b")) == .notFound)
  }

  @Test("waiting lookups are answered in the order of their arrival, across peers")
  mutating func waits() {
    let server = desk.join(1)
    let one = desk.join(2)
    let two = desk.join(3)
    #expect(desk.effects(one, .lookup("a", wait: true)) == [])
    #expect(desk.effects(two, .lookup("a", wait: true)) == [])
    #expect(desk.effects(one, .lookup("a", wait: true)) == [])
    #expect(desk.effects(server, .lookup("a", wait: true)) == [])
    #expect(desk.effects(one, .lookup("b", wait: true)) == [])
    let effects = desk.effects(server, .register("a"))
    #expect(effects.replies.map(\.number) == ["4", "5", "6", "7", "9"])
    #expect(effects.replies.map(\.peer) == [one, two, one, server, server])
    #expect(effects.replies.last?.message[.waiting] == .uint64(4))
    #expect(desk.register(server, "a")?[.waiting] == nil)
    #expect(desk.ask(server, .plain("status"))?[.waiting] == .uint64(1))
  }

  @Test("only a generation above after answers a waiting lookup")
  mutating func waitsForGeneration() {
    let server = desk.join(1)
    let client = desk.join(2)
    desk.register(server, "a")
    desk.ask(client, .lookup("a", after: 1_000_000, wait: true, id: 1))
    desk.ask(client, .lookup("a", after: 1_000_001, wait: true, id: 2))
    #expect(desk.effects(server, .register("a")).replies.map(\.number) == ["4", "6"])
    #expect(desk.effects(server, .register("a")).replies.map(\.number) == ["5", "7"])
    #expect(desk.register(server, "a")?[.waiting] == nil)
  }

  @Test("cancel answers the waiting lookup and itself")
  mutating func cancel() {
    let server = desk.join(1)
    let client = desk.join(2)
    desk.ask(client, .lookup("a", wait: true, id: 7))
    desk.ask(client, .lookup("a", wait: true))
    #expect(
      desk.effects(client, .cancel(7)) == [
        .reply(Fake(3), .cancelled, to: client),
        .reply(Fake(5), [.ok: .bool(true), .cancelled: .bool(true)], to: client),
      ])
    #expect(desk.ask(client, .cancel(7)) == [.ok: .bool(true), .cancelled: .bool(false)])
    #expect(desk.effects(server, .register("a")).replies.map(\.number) == ["4", "7"])
  }

  @Test("cancel finds no lookup of another peer, none without an id and none that was answered")
  mutating func cancelNothing() {
    let server = desk.join(1)
    let client = desk.join(2)
    let nothing: Message = [.ok: .bool(true), .cancelled: .bool(false)]
    desk.ask(client, .lookup("a", wait: true, id: 7))
    desk.ask(client, .lookup("a", wait: true))
    #expect(desk.ask(server, .cancel(7)) == nothing)
    #expect(desk.ask(client, .cancel(0)) == nothing)
    desk.register(server, "a")
    #expect(desk.ask(client, .cancel(7)) == nothing)
  }

  @Test("an id is a bad request if a lookup of the peer waits with it and this one would wait too")
  mutating func idInUse() {
    let server = desk.join(1)
    let client = desk.join(2)
    desk.register(server, "there")
    desk.ask(client, .lookup("a", wait: true, id: 7))
    #expect(desk.ask(client, .lookup("b", wait: true, id: 7)) == .badRequest("id"))
    #expect(desk.ask(client, .lookup("there", wait: true, id: 7))?[.ok] == .bool(true))
    #expect(desk.ask(client, .lookup("there", wait: false, id: 7))?[.ok] == .bool(true))
    #expect(desk.effects(server, .lookup("b", wait: true, id: 7)) == [])
    desk.ask(client, .cancel(7))
    #expect(desk.effects(client, .lookup("b", wait: true, id: 7)) == [])
  }

  @Test("1,024 lookups may wait for each peer")
  mutating func limit() {
    let client = desk.join(1)
    let other = desk.join(2)
    let server = desk.join(3)
    for _ in 0..<1024 { #expect(desk.effects(client, .lookup("a", wait: true)) == []) }
    #expect(desk.ask(client, .lookup("a", wait: true)) == .limit)
    #expect(desk.ask(client, .lookup("a")) == .notFound)
    #expect(desk.effects(other, .lookup("a", wait: true)) == [])
    #expect(desk.effects(server, .register("a")).replies.count == 1026)
    #expect(desk.ask(client, .lookup("b", wait: true)) == nil)
  }

  @Test("the waiting lookups of a dead peer are removed")
  mutating func deadWaiter() {
    let server = desk.join(1)
    let dead = desk.join(2)
    let alive = desk.join(3)
    desk.ask(dead, .lookup("a", wait: true, id: 1))
    desk.ask(alive, .lookup("a", wait: true, id: 1))
    #expect(desk.core.gone(dead) == [])
    let effects = desk.effects(server, .register("a"))
    #expect(effects.replies.map(\.peer) == [alive, server])
    #expect(desk.ask(server, .plain("status"))?[.waiting] == .uint64(0))
  }
}
