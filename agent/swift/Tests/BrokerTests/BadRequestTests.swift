import Broker
import Testing

@Suite("requests that fail")
struct BadRequestTests {
  var desk = Desk()
  static var good: [String: Message] {
    [
      "hello": [.op: .string("hello"), .min: .uint64(1), .max: .uint64(1), .name: .string("app")],
      "register": .register("a", after: 1),
      "lookup": .lookup("a", after: 1, wait: true, id: 1),
      "cancel": .cancel(1),
      "unregister": .unregister("a", 1),
    ]
  }
  static let optional: [String: Set<Key>] = [
    "hello": [.name], "register": [.after], "lookup": [.after, .wait, .id],
  ]

  static func without(_ key: Key, in message: Message) -> Message {
    var result = Message()
    for field in message.fields where field.key != key { result.append(field.key, field.value) }
    return result
  }

  static func with(_ key: Key, _ value: WireValue, in message: Message) -> Message {
    var result = Message()
    for field in message.fields { result.append(field.key, field.key == key ? value : field.value) }
    return result
  }

  @Test(
    "the failure names a required field that is missing",
    arguments: ["hello", "register", "lookup", "cancel", "unregister"])
  mutating func missing(operation: String) throws {
    let peer = desk.join(1)
    let message = try #require(Self.good[operation])
    for field in message.fields where field.key != .op {
      let reply = desk.ask(peer, Self.without(field.key, in: message))
      if Self.optional[operation]?.contains(field.key) == true {
        #expect(reply?[.code] != .string("bad_request"))
        if operation == "lookup" { desk.ask(peer, .cancel(1)) }
      } else {
        #expect(reply == .badRequest(field.key.rawValue))
      }
    }
  }

  @Test(
    "the failure names a field of another type, optional or not",
    arguments: ["hello", "register", "lookup", "cancel", "unregister"])
  mutating func otherType(operation: String) throws {
    let peer = desk.join(1)
    let message = try #require(Self.good[operation])
    for field in message.fields {
      for value: WireValue in [.other, .int64(-1), .date(1)] {
        let reply = desk.ask(peer, Self.with(field.key, value, in: message))
        #expect(reply == .badRequest(field.key.rawValue))
      }
    }
  }

  @Test("the failure names the first wrong field, in the order of PROTOCOL.md")
  mutating func firstOffending() {
    let peer = desk.join(1)
    #expect(desk.ask(peer, [.op: .other, .name: .other]) == .badRequest("op"))
    #expect(
      desk.ask(
        peer,
        [.generation: .other, .after: .other, .endpoint: .other, .op: .string("register"), .name: .other])
        == .badRequest("name"))
    #expect(
      desk.ask(peer, [.after: .other, .policy: .other, .op: .string("register"), .name: .string("a")])
        == .badRequest("endpoint"))
    #expect(
      desk.ask(peer, [.id: .other, .wait: .other, .op: .string("lookup"), .name: .string("a")])
        == .badRequest("wait"))
    #expect(desk.ask(peer, [.op: .string("unregister"), .generation: .other]) == .badRequest("name"))
  }

  @Test("the failure names min if it is above max, even if name has another type")
  mutating func minAboveMax() {
    let peer = desk.connect(1)
    #expect(
      desk.ask(peer, [.op: .string("hello"), .min: .uint64(2), .max: .uint64(1), .name: .other])
        == .badRequest("min"))
    #expect(desk.ask(peer, [.op: .string("hello"), .min: .uint64(2)]) == .badRequest("max"))
    #expect(desk.ask(peer, [.op: .string("hello"), .max: .uint64(2)]) == .badRequest("min"))
    #expect(
      desk.ask(peer, [.op: .string("hello"), .min: .uint64(2), .max: .other]) == .badRequest("max"))
  }

  @Test("a request without an operation fails as such, even before hello")
  mutating func noOperation() {
    let peer = desk.connect(1)
    #expect(desk.ask(peer, Message()) == .badRequest("op"))
    #expect(desk.ask(peer, [.op: .uint64(1)]) == .badRequest("op"))
  }

  @Test("an operation that does not exist", arguments: ["", "Lookup", "lookup ", "terminate"])
  mutating func unknownOperation(operation: String) {
    let peer = desk.join(1)
    #expect(
      desk.ask(peer, .plain(operation))
        == .failed(
          "unknown_op", "Cannot find this operation: the request asks for another than version 1 has"))
  }

  @Test(
    "a name out of range",
    arguments: ["", "a b", "a/b", "ü", "a\u{0}", "K\u{301}", String(repeating: "a", count: 129)])
  mutating func badNames(name: String) {
    let peer = desk.join(1)
    #expect(desk.register(peer, name) == .badRequest("name"))
    #expect(desk.ask(peer, .lookup(name)) == .badRequest("name"))
    #expect(desk.ask(peer, .unregister(name, 1)) == .badRequest("name"))
  }

  @Test("a name in range", arguments: ["a", "A-Z_0.9", "..", String(repeating: "z", count: 128)])
  mutating func goodNames(name: String) {
    let peer = desk.join(1)
    #expect(desk.register(peer, name)?[.registered] == .bool(true))
    #expect(desk.ask(peer, .lookup(name))?[.endpoint] == .endpoint(of: "to \(name)"))
  }

  @Test("a policy out of range", arguments: ["", "Reject", "replaced"])
  mutating func badPolicies(policy: String) {
    let peer = desk.join(1)
    #expect(desk.register(peer, "a", policy) == .badRequest("policy"))
  }

  @Test("generations of 2^53 and more are out of range", arguments: [1 << 53, .max])
  mutating func largeGenerations(generation: UInt64) {
    let peer = desk.join(1)
    #expect(desk.register(peer, "a", after: generation) == .badRequest("after"))
    #expect(desk.ask(peer, .lookup("a", after: generation)) == .badRequest("after"))
    #expect(desk.ask(peer, .unregister("a", generation)) == .badRequest("generation"))
    #expect(desk.ask(peer, .lookup("a", after: (1 << 53) - 1)) == .notFound)
  }

  @Test("unknown keys are ignored, but a message of more than 64 keys fails with limit")
  mutating func keys() {
    let peer = desk.connect(1)
    var hello = Self.good["hello"] ?? [:]
    hello.unknownKeys = 61
    #expect(desk.ask(peer, hello) == .limit)
    hello.unknownKeys = 60
    #expect(desk.ask(peer, hello)?[.ok] == .bool(true))
    var nothing = Message()
    nothing.unknownKeys = 65
    #expect(desk.ask(peer, nothing) == .limit)
  }

  @Test("a message whose sender expects no reply is dropped")
  mutating func noReply() {
    let peer = desk.connect(1)
    #expect(desk.core.received(Self.good["hello"] ?? [:], from: peer, reply: nil) == [])
    #expect(desk.ask(peer, .plain("list")) == .helloFirst)
    let other = desk.join(2)
    #expect(desk.core.received(.register("a"), from: other, reply: nil) == [])
    #expect(desk.core.received([:], from: other, reply: nil) == [])
    #expect(desk.ask(other, .lookup("a")) == .notFound)
  }

  @Test("ten thousand bad messages do not change the state")
  mutating func flood() {
    let peer = desk.join(1)
    let before = desk.ask(peer, .plain("status"))
    for number in 0..<10_000 {
      let message: Message =
        number.isMultiple(of: 2) ? .plain("x") : [.op: .string("lookup"), .name: .other]
      #expect(desk.effects(peer, message).count == 1)
    }
    #expect(desk.ask(peer, .plain("status")) == before)
  }
}
