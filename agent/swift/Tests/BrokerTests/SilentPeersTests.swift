import Broker
import Testing

@Suite("peers that do not say hello, and the limit of peers")
struct SilentPeersTests {
  var desk = Desk()

  private let hello: Message = [.op: .string("hello"), .min: .uint64(1), .max: .uint64(1)]

  /// Connects peers that say hello until `count` are connected, beginning with the number `first`.
  private mutating func fill(from first: UInt32, to count: Int = Limits.peers) {
    for number in first..<first + UInt32(count) { _ = desk.join(number) }
  }

  @Test("a peer that has not said hello after 5 s is refused, not sooner")
  mutating func deadline() {
    desk.time.uptime = 100
    let peer = desk.connect(1)
    desk.time.uptime = 5099
    #expect(desk.core.timePassed() == [])
    desk.time.uptime = 5100
    #expect(desk.core.timePassed() == [.refuse(peer, .silent)])
    #expect(desk.core.timePassed() == [])
  }

  @Test("a peer that said hello stays, also if it says nothing more")
  mutating func greeted() {
    let peer = desk.join(1)
    desk.time.uptime = 1_000_000
    #expect(desk.core.timePassed() == [])
    #expect(desk.ask(peer, .plain("unwatch")) == .done)
  }

  @Test("requests before hello and a hello that fails do not prolong the time")
  mutating func otherRequests() {
    let peer = desk.connect(1)
    desk.time.uptime = 4000
    #expect(desk.ask(peer, .plain("list")) == .helloFirst)
    #expect(
      desk.ask(peer, [.op: .string("hello"), .min: .uint64(2), .max: .uint64(3)])?[.ok] == .bool(false))
    desk.time.uptime = 5000
    #expect(desk.core.timePassed() == [.refuse(peer, .silent)])
  }

  @Test("all peers whose time is over are refused, in the order of their connections")
  mutating func several() {
    let peers = [3, 1, 2].map { desk.connect($0) }
    desk.time.uptime = 1
    let later = desk.connect(4)
    desk.time.uptime = 5000
    #expect(desk.core.timePassed() == peers.map { .refuse($0, .silent) })
    desk.time.uptime = 5001
    #expect(desk.core.timePassed() == [.refuse(later, .silent)])
  }

  @Test("timeout is the time until the next silent peer is refused, and nil without one")
  mutating func timeout() {
    #expect(desk.core.timeout == nil)
    let first = desk.connect(1)
    desk.time.uptime = 1000
    let second = desk.connect(2)
    desk.time.uptime = 3000
    let third = desk.connect(3)
    #expect(desk.core.timeout == 2000)
    _ = desk.ask(first, hello)
    #expect(desk.core.timeout == 3000)
    _ = desk.core.gone(second)
    #expect(desk.core.timeout == 5000)
    desk.time.uptime = 9000
    #expect(desk.core.timeout == 0)
    #expect(desk.core.timePassed() == [.refuse(third, .silent)])
    #expect(desk.core.timeout == nil)
  }

  @Test("the messages of a refused peer are dropped, and its end has no effects")
  mutating func refused() {
    let peer = desk.connect(1)
    let other = desk.join(2)
    desk.time.uptime = 5000
    _ = desk.core.timePassed()
    #expect(desk.effects(peer, hello) == [])
    #expect(desk.core.gone(peer) == [])
    #expect(desk.ask(other, .plain("status"))?[.peers] == .uint64(1))
  }

  @Test("if 4,096 peers have said hello, one more is refused until another one leaves")
  mutating func limit() {
    fill(from: 1)
    let late = PeerID(5000)
    #expect(desk.core.connected(late, pid: 1, user: Desk.user) == [.refuse(late, .limit)])
    #expect(desk.effects(late, hello) == [])
    #expect(desk.core.timeout == nil)
    _ = desk.core.gone(PeerID(7))
    #expect(desk.core.connected(PeerID(5001), pid: 1, user: Desk.user) == [])
  }

  @Test("at 4,096 peers, the one that has been silent longest gives its place to one more")
  mutating func eviction() {
    let oldest = desk.connect(1)
    let greeted = desk.connect(2)
    let younger = desk.connect(3)
    fill(from: 4, to: Limits.peers - 3)
    _ = desk.ask(greeted, hello)
    for (late, evicted) in [(PeerID(5001), oldest), (PeerID(5002), younger), (PeerID(5003), PeerID(5001))] {
      #expect(
        desk.core.connected(late, pid: 1, user: Desk.user) == [.refuse(evicted, .silentAtLimit)])
      #expect(desk.effects(evicted, hello) == [])
      #expect(desk.core.gone(evicted) == [])
      #expect(desk.ask(greeted, .plain("status"))?[.peers] == .uint64(4096))
    }
    #expect(desk.ask(PeerID(5003), hello)?[.ok] == .bool(true))
    #expect(desk.ask(PeerID(5002), hello)?[.ok] == .bool(true))
    let late = PeerID(5004)
    #expect(desk.core.connected(late, pid: 1, user: Desk.user) == [.refuse(late, .limit)])
  }

  @Test("a peer of another user takes nobody's place")
  mutating func stranger() {
    let silent = desk.connect(1)
    fill(from: 2, to: Limits.peers - 1)
    let stranger = PeerID(5000)
    #expect(desk.core.connected(stranger, pid: 1, user: 502) == [.refuse(stranger, .user(502))])
    #expect(desk.ask(silent, hello)?[.ok] == .bool(true))
  }
}
