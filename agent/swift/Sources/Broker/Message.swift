/// The keys of all messages of the protocol.
public enum Key: String, Sendable {
  case op, min, max, name, endpoint, policy, after, wait, id, generation
  case ok, code, message, version, broker, release, pid, service, registered, cancelled
  case services, since, uptime, peers, waiting, watchers
  case event, by

  /// The keys that a request may have: the broker never looks at another.
  public static let ofRequests: [Key] = [
    .op, .min, .max, .name, .endpoint, .policy, .after, .wait, .id, .generation,
  ]
}

/// Something that the broker keeps and hands on without looking into it: an endpoint, or what a request is
/// answered through.
open class Handle: Equatable {
  /// Makes a handle of nothing; subclasses add what it stands for.
  public init() {}

  /// Whether it stands for the same as another; by default only one and the same object does.
  open func isSame(as other: Handle) -> Bool { self === other }

  /// Compares what both stand for.
  public static func == (left: Handle, right: Handle) -> Bool { left.isSame(as: right) }
}

/// What stands under a key of a message.
public enum WireValue: Equatable {
  case bool(Bool)
  case int64(Int64)
  case uint64(UInt64)
  /// Nanoseconds since 1970.
  case date(Int64)
  case string(String)
  /// What leads to a service.
  case endpoint(Handle)
  case array([Message])
  /// A value of a type that no request has.
  case other
}

/// A dictionary of the protocol: a request, a reply, an event, or an entry of a list.
///
/// Fields keep their order, which is the one that the protocol lists them in, so that the same answer
/// is always the same bytes.
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

  /// How many keys the message has besides that the protocol does not know.
  public var unknownKeys = 0

  /// All keys of the message, those unknown included.
  public var keyCount: Int { fields.count + unknownKeys }

  /// Makes a message without fields.
  public init() {
    fields = []
  }

  /// Adds a field; its key must not be there yet.
  public mutating func append(_ key: Key, _ value: WireValue) {
    fields.append(Field(key: key, value: value))
  }

  /// The value under `key`, or nil when there is none.
  public subscript(key: Key) -> WireValue? {
    fields.first { $0.key == key }?.value
  }
}

extension Message: ExpressibleByDictionaryLiteral {
  /// Makes a message of these fields, in this order.
  public init(dictionaryLiteral elements: (Key, WireValue)...) {
    fields = elements.map { Field(key: $0.0, value: $0.1) }
  }
}
