import Broker
import CAgent

/// One reference to an XPC object, released when this handle is.
final class XPCObject: Handle {
  private let pointer: UnsafeMutableRawPointer

  /// Takes ownership of a reference.
  init(owned pointer: UnsafeMutableRawPointer) {
    self.pointer = pointer
    super.init()
  }

  /// Retains the object.
  convenience init(retaining pointer: UnsafeMutableRawPointer) {
    self.init(owned: agent_retain(pointer))
  }

  deinit {
    agent_release(pointer)
  }

  /// Calls `body` with the pointer and keeps the object alive meanwhile.
  ///
  /// Swift may release an object after its last use, and a use of its pointer does not count as one.
  func use<Result>(_ body: (UnsafeMutableRawPointer) -> Result) -> Result {
    withExtendedLifetime(self) { body(pointer) }
  }
}

extension Handle {
  /// This handle as an XPC object.
  ///
  /// The core creates no handles, so in the agent each handle is an XPC object.
  var object: XPCObject? { self as? XPCObject }
}

extension Message {
  /// Reads the values of all keys that a request may have, and counts the other keys.
  init(reading object: XPCObject) {
    self.init()
    object.use { dictionary in
      for key in Key.ofRequests {
        if let value = WireValue(agent_get(dictionary, key.rawValue)) { append(key, value) }
      }
      unknownKeys = agent_count(dictionary) - fields.count
    }
  }

  /// Adds the fields to a dictionary.
  func write(to object: XPCObject) {
    object.use { write(to: $0) }
  }

  private func write(to dictionary: UnsafeMutableRawPointer) {
    for field in fields {
      let key = field.key.rawValue
      switch field.value {
      case .bool(let flag): agent_set_bool(dictionary, key, flag)
      case .int64(let number): agent_set_int64(dictionary, key, number)
      case .uint64(let number): agent_set_uint64(dictionary, key, number)
      case .date(let nanoseconds): agent_set_date(dictionary, key, nanoseconds)
      case .string(let text): agent_set_string(dictionary, key, text)
      case .endpoint(let endpoint): endpoint.object?.use { agent_set_object(dictionary, key, $0) }
      case .array(let entries):
        let array = XPCObject(owned: agent_array())
        array.use { array in
          for entry in entries { entry.dictionary().use { agent_append(array, $0) } }
          agent_set_object(dictionary, key, array)
        }
      case .other: break  // the core sends no such value
      }
    }
  }

  /// Creates a dictionary with the fields.
  func dictionary() -> XPCObject {
    let dictionary = XPCObject(owned: agent_dictionary())
    write(to: dictionary)
    return dictionary
  }
}

extension WireValue {
  /// How many bytes of a string are copied.
  ///
  /// This is one more than the longest valid text of any field, so a text that is too long stays too long.
  private static var copiedBytes: Int { Name.maximumLength + 1 }

  /// Converts the value of a key, or gives nil if the key is missing.
  fileprivate init?(_ value: agent_value) {
    switch value.kind {
    case AGENT_KIND_MISSING: return nil
    case AGENT_KIND_BOOL: self = .bool(value.flag)
    case AGENT_KIND_INT64: self = .int64(value.int64)
    case AGENT_KIND_UINT64: self = .uint64(value.uint64)
    case AGENT_KIND_STRING:
      let bytes = UnsafeRawBufferPointer(start: value.text, count: min(value.length, Self.copiedBytes))
      self = .string(String(decoding: bytes, as: UTF8.self))
    case AGENT_KIND_ENDPOINT: self = .endpoint(XPCObject(retaining: value.endpoint))
    default: self = .other
    }
  }
}
