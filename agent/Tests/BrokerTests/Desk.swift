import Broker

typealias TestMessage = Message<String>
typealias TestEffect = Effect<String, Int>

/// A core with clocks that stand still, whose endpoints are strings and whose replies are numbers.
struct Desk {
  final class Time {
    var wall: UInt64 = 1_000_000
    var uptime: UInt64 = 0
  }

  static let user: UInt32 = 501
  let time = Time()
  var core: Core<String, Int>
  private var lastReply = 0

  init() {
    let time = time
    core = Core(
      identity: .init(service: "test.broker", pid: 77, user: Self.user),
      clocks: .init(wall: { time.wall }, uptime: { time.uptime }))
  }

  /// Connects a peer whose pid is 100 above its number, and lets it say hello.
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

  /// All effects of a request.
  mutating func effects(_ peer: PeerID, _ message: TestMessage) -> [TestEffect] {
    lastReply += 1
    return core.received(message, from: peer, reply: lastReply)
  }

  /// The reply to a request, if it came at once.
  @discardableResult
  mutating func ask(_ peer: PeerID, _ message: TestMessage) -> TestMessage? {
    let effects = effects(peer, message)
    return effects.replies.first { $0.number == lastReply }?.message
  }

  @discardableResult
  mutating func register(
    _ peer: PeerID, _ name: String, _ policy: String = "reject", endpoint: String? = nil, after: UInt64? = nil
  ) -> TestMessage? {
    ask(peer, .register(name, policy, endpoint: endpoint, after: after))
  }
}

extension TestMessage {
  static func register(
    _ name: String, _ policy: String = "reject", endpoint: String? = nil, after: UInt64? = nil
  ) -> TestMessage {
    var message: TestMessage = [
      .op: .string("register"), .name: .string(name), .endpoint: .endpoint(endpoint ?? "to \(name)"),
      .policy: .string(policy),
    ]
    if let after { message.append(.after, .uint64(after)) }
    return message
  }

  static func lookup(_ name: String, after: UInt64 = 0, wait: Bool = false, id: UInt64 = 0) -> TestMessage {
    [
      .op: .string("lookup"), .name: .string(name), .after: .uint64(after), .wait: .bool(wait),
      .id: .uint64(id),
    ]
  }

  static func unregister(_ name: String, _ generation: UInt64) -> TestMessage {
    [.op: .string("unregister"), .name: .string(name), .generation: .uint64(generation)]
  }

  static func cancel(_ id: UInt64) -> TestMessage { [.op: .string("cancel"), .id: .uint64(id)] }

  static func plain(_ operation: String) -> TestMessage { [.op: .string(operation)] }

  static func failed(_ code: String, _ text: String) -> TestMessage {
    [.ok: .bool(false), .code: .string(code), .message: .string(text)]
  }

  static func badRequest(_ key: String) -> TestMessage {
    failed("bad_request", "Cannot read the request: \(key) is missing, of another type or out of range")
  }

  static let helloFirst = failed("hello_first", "Cannot serve a request before hello")
  static let limit = failed("limit", "Cannot take more: a limit of this broker is reached")
  static let notFound = failed("not_found", "Cannot find a service of this name")
  static let terminating = failed(
    "terminating", "Cannot serve this request: the broker is about to end")
  static let cancelled = failed("cancelled", "Cannot answer this lookup: it was cancelled")
  static let done: TestMessage = [.ok: .bool(true)]

  static func found(_ endpoint: String, generation: UInt64, pid: Int64) -> TestMessage {
    [
      .ok: .bool(true), .generation: .uint64(generation), .endpoint: .endpoint(endpoint),
      .pid: .int64(pid),
    ]
  }

  static func change(_ event: String, _ name: String, _ generation: UInt64, pid: Int64) -> TestMessage {
    [
      .event: .string(event), .name: .string(name), .generation: .uint64(generation), .pid: .int64(pid),
    ]
  }

  var generation: UInt64? {
    if case .uint64(let number)? = self[.generation] { number } else { nil }
  }
}

extension [TestEffect] {
  var replies: [(number: Int, message: TestMessage, peer: PeerID)] {
    compactMap {
      if case .reply(let number, let message, let peer) = $0 { (number, message, peer) } else { nil }
    }
  }

  /// The events that go to a peer.
  func events(to peer: PeerID) -> [TestMessage] {
    compactMap { if case .event(let message, peer) = $0 { message } else { nil } }
  }

  var transactions: [Bool] {
    compactMap { if case .transaction(let begins) = $0 { begins } else { nil } }
  }
}
