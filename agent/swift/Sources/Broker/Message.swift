/// The keys of all messages of the protocol.
public enum Key: String, Sendable {
  case op, min, max, name, endpoint, policy, after, wait, id, generation
  case ok, code, message, version, broker, release, pid, service, registered, cancelled
  case services, since, uptime, peers, waiting, watchers
  case event, by

  /// The keys that a request may have.
  ///
  /// The broker ignores all others.
  public static let ofRequests: [Key] = [
    .op, .min, .max, .name, .endpoint, .policy, .after, .wait, .id, .generation,
  ]
}

/// An opaque object that the core keeps and passes on: an endpoint, or the reply to a request.
open class Handle: Equatable {
  /// Creates a handle.
  ///
  /// Subclasses add the object that it stands for.
  public init() {}

  /// Whether both handles stand for the same object.
  ///
  /// By default a handle is the same as itself only.
  open func isSame(as other: Handle) -> Bool { self === other }

  /// Compares two handles by `isSame(as:)`.
  public static func == (left: Handle, right: Handle) -> Bool { left.isSame(as: right) }
}

/// The value of a key in a message.
public enum WireValue: Equatable {
  case bool(Bool)
  case int64(Int64)
  case uint64(UInt64)
  /// Nanoseconds since 1970.
  case date(Int64)
  case string(String)
  /// The XPC endpoint of a service.
  case endpoint(Handle)
  case array([Message])
  /// A value of a type that no request has.
  case other
}

/// A dictionary of the protocol: a request, a reply, an event, or an entry of a list.
///
/// Fields keep the order in which PROTOCOL.md lists them, so that equal answers have equal bytes.
public struct Message: Equatable {
  /// One key with its value.
  public struct Field: Equatable {
    /// The key, unique in its message.
    public var key: Key
    /// The value.
    public var value: WireValue
  }

  /// The fields, in order.
  public private(set) var fields: [Field]

  /// How many keys the message has that the protocol does not know.
  public var unknownKeys = 0

  /// How many keys the message has, unknown ones included.
  public var keyCount: Int { fields.count + unknownKeys }

  /// Creates a message without fields.
  public init() {
    fields = []
  }

  /// Adds a field; its key must not be there yet.
  public mutating func append(_ key: Key, _ value: WireValue) {
    fields.append(Field(key: key, value: value))
  }

  /// The value of `key`, or nil if the message does not have it.
  public subscript(key: Key) -> WireValue? {
    fields.first { $0.key == key }?.value
  }
}

extension Message: ExpressibleByDictionaryLiteral {
  /// Creates a message of these fields, in this order.
  public init(dictionaryLiteral elements: (Key, WireValue)...) {
    fields = elements.map { Field(key: $0.0, value: $0.1) }
  }
}
