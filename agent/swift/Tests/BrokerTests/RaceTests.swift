import Broker
import Testing

/// The races between apps that the broker takes part in.
@Suite("races")
struct RaceTests {
  var desk = Desk()

  @Test("two apps start at once: the first to join serves and the other connects to it")
  mutating func bothJoin() {
    let one = desk.join(1)
    let two = desk.join(2)
    #expect(desk.register(one, "a", "join", endpoint: "one")?[.registered] == .bool(true))
    #expect(desk.register(two, "a", "join", endpoint: "two")?[.endpoint] == .endpoint(of: "one"))
  }

  @Test("the agent is relaunched: a registration with after is newer than all earlier ones")
  mutating func relaunched() {
    let server = desk.join(1)
    let generation = desk.register(server, "a")?.generation ?? 0
    var next = Desk()
    next.time.wall = 10  // the clock was set back meanwhile
    let client = next.join(1)
    let back = next.join(2)
    #expect(next.effects(client, .lookup("a", after: generation, wait: true)) == [])
    let effects = next.effects(back, .register("a", after: generation))
    #expect(effects.replies.map(\.message.generation) == [generation + 1, generation + 1])
  }

  @Test("an app dies: its names are removed and watchers learn it, in the order of registration")
  mutating func serverDies() {
    let server = desk.join(1)
    let watcher = desk.join(2)
    desk.ask(watcher, .plain("watch"))
    for name in ["b", "c", "a", "b"] { desk.register(server, name) }
    #expect(
      desk.core.gone(server) == [
        .event(.change("unregistered", "c", 1_000_000, pid: 101), to: watcher),
        .event(.change("unregistered", "a", 1_000_000, pid: 101), to: watcher),
        .event(.change("unregistered", "b", 1_000_001, pid: 101), to: watcher),
        .transaction(false),
      ])
    #expect(desk.ask(watcher, .lookup("a")) == .notFound)
    #expect(desk.core.gone(server) == [])
  }

  @Test("the late end of a peer does not remove the newer registration of another")
  mutating func lateDeath() {
    let old = desk.join(1)
    let new = desk.join(2)
    let watcher = desk.join(3)
    desk.ask(watcher, .plain("watch"))
    desk.register(old, "a")
    desk.register(old, "b")
    desk.register(new, "a", "replace", endpoint: "new")
    #expect(
      desk.core.gone(old) == [.event(.change("unregistered", "b", 1_000_000, pid: 101), to: watcher)])
    #expect(desk.ask(watcher, .lookup("a"))?[.endpoint] == .endpoint(of: "new"))
  }

  @Test("the generation of a replaced registration cannot unregister the new one")
  mutating func staleUnregister() {
    let peer = desk.join(1)
    desk.register(peer, "a")
    desk.register(peer, "a")
    #expect(desk.ask(peer, .unregister("a", 1_000_000))?[.code] == .string("not_owner"))
    #expect(desk.ask(peer, .unregister("a", 1_000_001)) == .done)
  }

  @Test("a client with a stale endpoint asks for a newer generation and gets that one")
  mutating func staleEndpoint() {
    let server = desk.join(1)
    let client = desk.join(2)
    desk.register(server, "a", endpoint: "stale")
    #expect(desk.effects(client, .lookup("a", after: 1_000_000, wait: true)) == [])
    _ = desk.core.gone(server)
    let back = desk.join(3)
    let effects = desk.effects(back, .register("a", endpoint: "fresh"))
    #expect(effects.replies.first?.message == .found("fresh", generation: 1_000_001, pid: 103))
  }

  @Test("a name changes hands between peers and back")
  mutating func backAndForth() {
    let one = desk.join(1)
    let two = desk.join(2)
    desk.register(one, "a")
    desk.register(two, "a", "replace")
    #expect(desk.register(one, "a", "replace", endpoint: "third")?.generation == 1_000_002)
    #expect(desk.core.gone(two) == [])
    #expect(desk.ask(one, .lookup("a"))?[.endpoint] == .endpoint(of: "third"))
  }

  @Test("terminate sends an event to each peer that said hello and answers waiting and later requests")
  mutating func terminate() {
    let server = desk.join(2)
    let client = desk.join(1)
    let silent = desk.connect(3)
    desk.register(server, "a")
    desk.ask(client, .lookup("b", wait: true, id: 1))
    let event: Message = [.event: .string("terminating")]
    #expect(
      Outcome(desk.core.terminate()) == [
        .event(event, to: client), .event(event, to: server),
        .reply(Fake(4), .terminating, to: client),
      ])
    #expect(desk.core.isTerminating)
    #expect(desk.core.terminate() == [])
    #expect(desk.ask(client, .lookup("a")) == .terminating)
    #expect(desk.register(client, "c") == .terminating)
    #expect(desk.ask(silent, [:]) == .terminating)
    let late = desk.connect(4)
    #expect(desk.ask(late, [.op: .string("hello"), .min: .uint64(1), .max: .uint64(1)]) == .terminating)
    #expect(desk.core.gone(server).transactions == [false])
  }

  @Test("a thousand services, a thousand waiting lookups and ten thousand lookups")
  mutating func many() {
    let server = desk.join(1)
    let client = desk.join(2)
    for number in 0..<1000 { desk.register(server, "n\(number)") }
    for number in 0..<1000 {
      desk.ask(client, .lookup("w\(number % 10)", wait: true, id: UInt64(number + 1)))
    }
    for number in 0..<10_000 {
      #expect(
        desk.ask(client, .lookup("n\(number % 1000)"))?[.endpoint] == .endpoint(of: "to n\(number % 1000)"))
    }
    #expect(desk.effects(server, .register("w3")).replies.count == 101)
    #expect(desk.core.gone(client) == [])
    #expect(desk.ask(server, .plain("status"))?[.waiting] == .uint64(0))
  }
}
