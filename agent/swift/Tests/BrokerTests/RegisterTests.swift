import Broker
import Testing

@Suite("register and unregister")
struct RegisterTests {
  var desk = Desk()

  @Test("every policy registers a free name", arguments: ["reject", "replace", "join"])
  mutating func freeName(policy: String) {
    let peer = desk.join(1)
    #expect(
      desk.effects(peer, .register("a", policy)) == [
        .reply(
          Fake(2),
          [.ok: .bool(true), .registered: .bool(true), .generation: .uint64(1_000_000), .pid: .int64(101)],
          to: peer),
        .transaction(true),
      ])
  }

  @Test("reject fails with the generation and pid of the registration")
  mutating func reject() {
    let first = desk.join(1)
    let second = desk.join(2)
    desk.register(first, "a")
    #expect(
      desk.register(second, "a", "reject") == [
        .ok: .bool(false), .code: .string("name_taken"),
        .message: .string("Cannot register this name: another app serves it"),
        .generation: .uint64(1_000_000), .pid: .int64(101),
      ])
    #expect(desk.ask(second, .lookup("a"))?[.pid] == .int64(101))
  }

  @Test("join answers with the registration there and changes nothing")
  mutating func join() {
    let first = desk.join(1)
    let second = desk.join(2)
    desk.register(first, "a", "join")
    #expect(
      desk.register(second, "a", "join") == [
        .ok: .bool(true), .registered: .bool(false), .generation: .uint64(1_000_000), .pid: .int64(101),
        .endpoint: .endpoint(of: "to a"),
      ])
    #expect(desk.ask(second, .unregister("a", 1_000_000))?[.code] == .string("not_owner"))
  }

  @Test("replace informs watchers and the replaced peer, and answers waiting lookups")
  mutating func replace() {
    let first = desk.join(1)
    let second = desk.join(2)
    let waiter = desk.join(3)
    desk.ask(first, .plain("watch"))
    desk.ask(second, .plain("watch"))
    desk.register(first, "a")
    desk.ask(waiter, .lookup("a", after: 1_000_000, wait: true))
    let effects = desk.effects(second, .register("a", "replace", endpoint: "new"))
    let gone = Message.change("unregistered", "a", 1_000_000, pid: 101)
    let there = Message.change("registered", "a", 1_000_001, pid: 102)
    #expect(
      Outcome(effects) == [
        .event(gone, to: first), .event(gone, to: second),
        .event(
          [
            .event: .string("replaced"), .name: .string("a"), .generation: .uint64(1_000_000),
            .by: .uint64(1_000_001), .pid: .int64(102),
          ], to: first),
        .event(there, to: first),
        .event(there, to: second),
        .reply(Fake(7), .found("new", generation: 1_000_001, pid: 102), to: waiter),
        .reply(
          Fake(8),
          [
            .ok: .bool(true), .registered: .bool(true), .generation: .uint64(1_000_001), .pid: .int64(102),
            .waiting: .uint64(1),
          ], to: second),
      ])
  }

  @Test("the holder of a name registers it again by every policy", arguments: ["reject", "replace", "join"])
  mutating func anew(policy: String) {
    let peer = desk.join(1)
    desk.ask(peer, .plain("watch"))
    desk.register(peer, "a")
    let effects = desk.effects(peer, .register("a", policy, endpoint: "new"))
    #expect(
      effects.events(to: peer) == [
        .change("unregistered", "a", 1_000_000, pid: 101), .change("registered", "a", 1_000_001, pid: 101),
      ])
    #expect(effects.replies.first?.message.generation == 1_000_001)
    #expect(desk.ask(peer, .lookup("a"))?[.endpoint] == .endpoint(of: "new"))
    #expect(desk.core.gone(peer).transactions == [false])
  }

  @Test("a generation is the maximum of last + 1, after + 1 and the wall clock")
  mutating func generations() {
    let peer = desk.join(1)
    #expect(desk.register(peer, "a")?.generation == 1_000_000)
    #expect(desk.register(peer, "a")?.generation == 1_000_001)
    desk.time.wall = 2_000_000
    #expect(desk.register(peer, "a")?.generation == 2_000_000)
    #expect(desk.register(peer, "a", after: 5_000_000)?.generation == 5_000_001)
    desk.time.wall = 1
    #expect(desk.register(peer, "a")?.generation == 5_000_002)
    #expect(desk.register(peer, "b")?.generation == 1)
  }

  @Test("a generation grows after an unregistration even if the clock was set back")
  mutating func generationsAfterUnregister() {
    let peer = desk.join(1)
    desk.register(peer, "a")
    #expect(desk.ask(peer, .unregister("a", 1_000_000)) == .done)
    desk.time.wall = 5
    #expect(desk.register(peer, "a")?.generation == 1_000_001)
  }

  @Test("a registration fails with limit if no generation below 2^53 is left, and changes nothing")
  mutating func noGenerationLeft() {
    let peer = desk.join(1)
    let last: UInt64 = (1 << 53) - 1
    #expect(desk.register(peer, "a", after: last - 1)?.generation == last)
    #expect(desk.register(peer, "a") == .limit)
    #expect(desk.register(peer, "b", after: last) == .limit)
    #expect(desk.ask(peer, .lookup("a"))?.generation == last)
  }

  @Test("names without a registration are forgotten if there are too many")
  mutating func forgottenNames() {
    let peer = desk.join(1)
    desk.register(peer, "kept")
    desk.register(peer, "ahead", after: 10_000_000)
    desk.ask(peer, .unregister("ahead", 10_000_001))
    for number in 0..<70_000 {
      desk.time.wall += 1
      let generation = desk.register(peer, "n\(number)")?.generation
      #expect(generation == desk.time.wall)
      desk.ask(peer, .unregister("n\(number)", generation ?? 0))
    }
    desk.time.wall = 5
    #expect(desk.register(peer, "kept")?.generation == 1_000_001)
    #expect(desk.register(peer, "ahead")?.generation == 10_000_002)
    #expect(desk.register(peer, "n0")?.generation == 5)
    #expect(desk.register(peer, "n69999")?.generation == 1_070_001)
  }

  @Test("unregister removes the registration, informs watchers and ends the transaction")
  mutating func unregister() {
    let peer = desk.join(1)
    let watcher = desk.join(2)
    desk.ask(watcher, .plain("watch"))
    desk.register(peer, "a")
    #expect(
      Outcome(desk.effects(peer, .unregister("a", 1_000_000))) == [
        .event(.change("unregistered", "a", 1_000_000, pid: 101), to: watcher),
        .reply(Fake(5), .done, to: peer),
        .transaction(false),
      ])
    #expect(desk.ask(peer, .lookup("a")) == .notFound)
  }

  @Test("unregister fails for a missing registration, one of another peer and another generation")
  mutating func unregisterErrors() {
    let peer = desk.join(1)
    let other = desk.join(2)
    let notRegistered = Message.failed("not_registered", "Cannot unregister this name: nobody serves it")
    let notOwner = Message.failed(
      "not_owner", "Cannot unregister this name: another registration holds it")
    #expect(desk.ask(peer, .unregister("a", 1)) == notRegistered)
    desk.register(peer, "a")
    #expect(desk.ask(peer, .unregister("a", 999_999)) == notOwner)
    #expect(desk.ask(other, .unregister("a", 1_000_000)) == notOwner)
    #expect(desk.ask(peer, .unregister("a", 1_000_000)) == .done)
    #expect(desk.ask(peer, .unregister("a", 1_000_000)) == notRegistered)
  }

  @Test("a peer may hold 1,024 registrations, under every policy")
  mutating func limit() {
    let peer = desk.join(1)
    let other = desk.join(2)
    desk.register(other, "taken")
    for number in 0..<1024 { #expect(desk.register(peer, "n\(number)")?[.ok] == .bool(true)) }
    #expect(desk.register(peer, "more") == .limit)
    #expect(desk.register(peer, "taken", "replace") == .limit)
    #expect(desk.register(peer, "taken", "reject")?[.code] == .string("name_taken"))
    #expect(desk.register(peer, "taken", "join")?[.registered] == .bool(false))
    #expect(desk.register(peer, "n5")?[.registered] == .bool(true))
    #expect(desk.register(other, "more")?[.registered] == .bool(true))
    #expect(desk.register(other, "n7", "replace")?[.registered] == .bool(true))
    #expect(desk.register(peer, "again")?[.registered] == .bool(true))
  }

  @Test("the transaction lasts as long as there is a registration")
  mutating func transaction() {
    let first = desk.join(1)
    let second = desk.join(2)
    #expect(desk.effects(first, .register("a")).transactions == [true])
    #expect(desk.effects(second, .register("b")).transactions == [])
    #expect(desk.effects(second, .register("a", "replace")).transactions == [])
    #expect(desk.core.gone(first).transactions == [])
    #expect(desk.core.gone(second).transactions == [false])
  }
}
