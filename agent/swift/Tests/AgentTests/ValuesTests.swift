import Broker
import CAgent
import Testing

@testable import Agent

@Suite("XPC dictionaries")
struct ValuesTests {
  let dictionary = XPCObject(owned: agent_dictionary())

  private func read() -> Message { Message(reading: dictionary) }

  private func kind(of key: String, in object: XPCObject) -> agent_kind {
    object.use { agent_get($0, key).kind }
  }

  @Test("each type that a request may have is read as that type")
  func reading() {
    dictionary.use { agent_set_string($0, "op", "lookup") }
    dictionary.use { agent_set_bool($0, "wait", true) }
    dictionary.use { agent_set_uint64($0, "id", .max) }
    dictionary.use { agent_set_int64($0, "min", -1) }
    let message = read()
    guard case .string("lookup")? = message[.op], case .bool(true)? = message[.wait],
      case .uint64(.max)? = message[.id], case .int64(-1)? = message[.min]
    else {
      Issue.record("read as \(message)")
      return
    }
    #expect(message[.name] == nil)
    #expect(message.keyCount == 4)
  }

  @Test("a value of another type is read as other, not as missing")
  func otherTypes() {
    dictionary.use { dictionary in
      agent_set_date(dictionary, "op", 1)
      XPCObject(owned: agent_array()).use { agent_set_object(dictionary, "name", $0) }
    }
    let message = read()
    guard case .other? = message[.op], case .other? = message[.name] else {
      Issue.record("read as \(message)")
      return
    }
  }

  @Test("keys that no request has are counted and not read, also when a reply has them")
  func unknownKeys() {
    for number in 0..<70 { dictionary.use { agent_set_bool($0, "key\(number)", true) } }
    dictionary.use { agent_set_string($0, "ok", "no request has this") }
    dictionary.use { agent_set_string($0, "op", "list") }
    let message = read()
    #expect(message.fields.map(\.key) == [.op])
    #expect(message.unknownKeys == 71)
  }

  @Test("a long text is cut after the first byte that makes it too long")
  func longText() {
    dictionary.use { agent_set_string($0, "name", String(repeating: "a", count: 1_000_000)) }
    dictionary.use { agent_set_string($0, "op", String(repeating: "é", count: 100)) }
    let message = read()
    guard case .string(let name)? = message[.name], case .string(let operation)? = message[.op] else {
      Issue.record("read as \(message)")
      return
    }
    #expect(name.utf8.count == 129)
    #expect(Name(name) == nil)
    #expect(operation.utf8.count > 128)
  }

  @Test("a message that is written is read as the same message")
  func writing() {
    let message: Message = [
      .op: .string("x"), .wait: .bool(false), .min: .int64(.min), .max: .uint64(1 << 53),
    ]
    let again = Message(reading: message.dictionary())
    guard case .string("x")? = again[.op], case .bool(false)? = again[.wait],
      case .int64(.min)? = again[.min], case .uint64(1 << 53)? = again[.max]
    else {
      Issue.record("read as \(again)")
      return
    }
  }

  @Test("lists, also empty ones, are written as arrays and dates as dates")
  func lists() {
    let entry: Message = [.name: .string("a"), .since: .date(1)]
    let message: Message = [.services: .array([entry, entry]), .peers: .array([])]
    let written = message.dictionary()
    #expect(kind(of: "services", in: written) == AGENT_KIND_OTHER)
    #expect(kind(of: "peers", in: written) == AGENT_KIND_OTHER)
    #expect(kind(of: "since", in: entry.dictionary()) == AGENT_KIND_OTHER)
  }

  @Test("a message whose sender expects no reply has none")
  func noReply() {
    #expect(dictionary.use { agent_reply($0) } == nil)
  }
}
