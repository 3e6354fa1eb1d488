import Broker
import Testing

@Suite("hello, and which peers are served")
struct HelloTests {
  var desk = Desk()

  @Test("hello answers with the version and the broker, in the order of PROTOCOL.md")
  mutating func helloAnswers() {
    let peer = desk.connect(1)
    let reply = desk.ask(peer, [.op: .string("hello"), .min: .uint64(0), .max: .uint64(9)])
    #expect(
      reply == [
        .ok: .bool(true), .version: .uint64(1), .broker: .string("swift"), .release: .string(release),
        .pid: .int64(77), .service: .string("test.broker"),
      ])
  }

  @Test("hello may be repeated, and a failed one changes nothing")
  mutating func helloRepeated() {
    let peer = desk.join(1)
    #expect(desk.ask(peer, [.op: .string("hello"), .min: .uint64(1), .max: .uint64(1)])?[.ok] == .bool(true))
    #expect(
      desk.ask(peer, [.op: .string("hello"), .min: .uint64(2), .max: .uint64(3)])?[.ok] == .bool(false))
    #expect(desk.ask(peer, .plain("unwatch")) == .done)
  }

  @Test("hello fails if the ranges of versions do not overlap", arguments: [(0, 0), (2, 2), (2, .max)])
  mutating func unsupportedVersion(range: (min: UInt64, max: UInt64)) {
    let peer = desk.connect(1)
    let reply = desk.ask(peer, [.op: .string("hello"), .min: .uint64(range.min), .max: .uint64(range.max)])
    #expect(
      reply == .failed("unsupported_version", "Cannot agree on a version: this broker speaks 1 to 1"))
    #expect(desk.ask(peer, .plain("list")) == .helloFirst)
  }

  @Test(
    "every other operation needs a hello first",
    arguments: [
      "register", "lookup", "cancel", "unregister", "list", "watch", "unwatch", "status", "nonsense", "",
    ])
  mutating func helloFirst(operation: String) {
    let peer = desk.connect(1)
    #expect(desk.ask(peer, .plain(operation)) == .helloFirst)
  }

  @Test("the hello of one peer does not count for another")
  mutating func helloOfOnePeer() {
    _ = desk.join(1)
    let other = desk.connect(2)
    #expect(desk.ask(other, .plain("list")) == .helloFirst)
  }

  @Test("a peer of another user is refused and its messages are dropped")
  mutating func otherUser() {
    let stranger = PeerID(1)
    #expect(desk.core.connected(stranger, pid: 1, user: 502) == [.refuse(stranger, .user(502))])
    #expect(desk.effects(stranger, [.op: .string("hello"), .min: .uint64(1), .max: .uint64(1)]) == [])
    #expect(desk.core.gone(stranger) == [])
  }

  @Test("a peer that fails the requirement is refused and loses its registrations")
  mutating func failedRequirement() {
    let watcher = desk.join(1)
    let peer = desk.join(2)
    desk.ask(watcher, .plain("watch"))
    desk.register(peer, "a")
    #expect(
      desk.core.failedRequirement(peer) == [
        .refuse(peer, .requirement),
        .event(.change("unregistered", "a", 1_000_000, pid: 102), to: watcher),
        .transaction(false),
      ])
    #expect(desk.effects(peer, .plain("list")) == [])
  }

  @Test("the peer after 4,096 is refused, until another one leaves")
  mutating func peerLimit() {
    for number in 1...4096 { _ = desk.connect(UInt32(number)) }
    let late = PeerID(5000)
    #expect(desk.core.connected(late, pid: 1, user: Desk.user) == [.refuse(late, .limit)])
    _ = desk.core.gone(PeerID(7))
    #expect(desk.core.connected(PeerID(5001), pid: 1, user: Desk.user) == [])
  }
}
