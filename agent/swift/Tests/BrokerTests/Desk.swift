import Broker

/// An endpoint or a reply.
///
/// Two with the same text are the same.
final class Fake: Handle {
  let text: String

  init(_ text: String) { self.text = text }

  init(_ number: Int) { text = String(number) }

  override func isSame(as other: Handle) -> Bool { (other as? Fake)?.text == text }
}

extension WireValue {
  static func endpoint(of text: String) -> WireValue { .endpoint(Fake(text)) }
}

/// A core for tests, with clocks that the test sets.
///
/// Endpoints and replies are fakes. Replies count from 1.
struct Desk {
  final class Time {
    var wall: UInt64 = 1_000_000
    var uptime: UInt64 = 0
  }

  static let user: UInt32 = 501
  let time = Time()
  var core: Core
  private var lastReply = 0

  init() {
    let time = time
    core = Core(
      identity: .init(service: "test.broker", pid: 77, user: Self.user),
      clocks: .init(wall: { time.wall }, uptime: { time.uptime }))
  }

  /// Connects a peer that says hello.
  ///
  /// Its pid is its number plus 100.
  mutating func join(_ number: UInt32) -> PeerID {
    let peer = connect(number)
    _ = ask(peer, [.op: .string("hello"), .min: .uint64(1), .max: .uint64(1)])
    return peer
  }

  mutating func connect(_ number: UInt32) -> PeerID {
    let peer = PeerID(number)
    _ = core.connected(peer, pid: Int64(number) + 100, user: Self.user)
    return peer
  }

  /// Sends a request and returns all effects.
  mutating func effects(_ peer: PeerID, _ message: Message) -> [Effect] {
    lastReply += 1
    return core.received(message, from: peer, reply: Fake(lastReply))
  }

  /// Sends a request and returns its reply, or nil if the reply comes later.
  @discardableResult
  mutating func ask(_ peer: PeerID, _ message: Message) -> Message? {
    let effects = effects(peer, message)
    return effects.replies.first { $0.number == String(lastReply) }?.message
  }

  @discardableResult
  mutating func register(
    _ peer: PeerID, _ name: String, _ policy: String = "reject", endpoint: String? = nil, after: UInt64? = nil
  ) -> Message? {
    ask(peer, .register(name, policy, endpoint: endpoint, after: after))
  }
}

extension Message {
  static func register(
    _ name: String, _ policy: String = "reject", endpoint: String? = nil, after: UInt64? = nil
  ) -> Message {
    var message: Message = [
      .op: .string("register"), .name: .string(name), .endpoint: .endpoint(of: endpoint ?? "to \(name)"),
      .policy: .string(policy),
    ]
    if let after { message.append(.after, .uint64(after)) }
    return message
  }

  static func lookup(_ name: String, after: UInt64 = 0, wait: Bool = false, id: UInt64 = 0) -> Message {
    [
      .op: .string("lookup"), .name: .string(name), .after: .uint64(after), .wait: .bool(wait),
      .id: .uint64(id),
    ]
  }

  static func unregister(_ name: String, _ generation: UInt64) -> Message {
    [.op: .string("unregister"), .name: .string(name), .generation: .uint64(generation)]
  }

  static func cancel(_ id: UInt64) -> Message { [.op: .string("cancel"), .id: .uint64(id)] }

  static func plain(_ operation: String) -> Message { [.op: .string(operation)] }

  static func failed(_ code: String, _ text: String) -> Message {
    [.ok: .bool(false), .code: .string(code), .message: .string(text)]
  }

  static func badRequest(_ key: String) -> Message {
    failed("bad_request", "Cannot read the request: \(key) is missing, of another type or out of range")
  }

  static var helloFirst: Message { failed("hello_first", "Cannot serve a request before hello") }
  static var limit: Message { failed("limit", "Cannot take more: a limit of this broker is reached") }
  static var notFound: Message { failed("not_found", "Cannot find a service of this name") }
  static var terminating: Message {
    failed("terminating", "Cannot serve this request: the broker is about to end")
  }
  static var cancelled: Message { failed("cancelled", "Cannot answer this lookup: it was cancelled") }
  static var done: Message { [.ok: .bool(true)] }

  static func found(_ endpoint: String, generation: UInt64, pid: Int64) -> Message {
    [
      .ok: .bool(true), .generation: .uint64(generation), .endpoint: .endpoint(of: endpoint),
      .pid: .int64(pid),
    ]
  }

  static func change(_ event: String, _ name: String, _ generation: UInt64, pid: Int64) -> Message {
    [
      .event: .string(event), .name: .string(name), .generation: .uint64(generation), .pid: .int64(pid),
    ]
  }

  var generation: UInt64? {
    if case .uint64(let number)? = self[.generation] { number } else { nil }
  }
}

/// Effects as peers notice them.
///
/// XPC promises no order between an event and a reply, nor between peers. So two lists of effects have the same
/// outcome if they agree on the replies, on the events for each peer, on the refused peers and on the transactions.
struct Outcome: Equatable, ExpressibleByArrayLiteral {
  private var replies: [Effect] = []
  private var events: [PeerID: [Message]] = [:]
  private var refusals: [Effect] = []
  private var transactions: [Bool] = []

  init(_ effects: [Effect]) {
    for effect in effects {
      switch effect {
      case .reply: replies.append(effect)
      case .event(let message, let peer): events[peer, default: []].append(message)
      case .refuse: refusals.append(effect)
      case .transaction(let begins): transactions.append(begins)
      }
    }
  }

  init(arrayLiteral effects: Effect...) { self.init(effects) }
}

extension [Effect] {
  var replies: [(number: String, message: Message, peer: PeerID)] {
    compactMap {
      if case .reply(let reply, let message, let peer) = $0 {
        ((reply as? Fake)?.text ?? "", message, peer)
      } else {
        nil
      }
    }
  }

  /// The events for a peer.
  func events(to peer: PeerID) -> [Message] {
    compactMap { if case .event(let message, peer) = $0 { message } else { nil } }
  }

  var transactions: [Bool] {
    compactMap { if case .transaction(let begins) = $0 { begins } else { nil } }
  }
}
