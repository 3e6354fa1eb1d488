/// What `register` does if another peer holds the name.
enum Policy: String {
  case reject, replace, join
}

/// A request with valid fields.
enum Request {
  case hello(min: UInt64, max: UInt64)
  case register(Name, Handle, Policy, after: UInt64)
  case lookup(Name, after: UInt64, wait: Bool, id: UInt64)
  case cancel(id: UInt64)
  case unregister(Name, generation: UInt64)
  case list, watch, unwatch, status

  /// Reads the fields of `operation`, in the order of the table in PROTOCOL.md.
  ///
  /// The failure names the first field that is not valid.
  init(_ operation: String, _ message: Message) throws(Failure) {
    switch operation {
    case "hello":
      let min = try message.required(.min, \.asUInt64)
      let max = try message.optional(.max, \.asUInt64)
      if let max, min > max { throw .badRequest(.min) }
      guard let max else { throw .badRequest(.max) }
      _ = try message.optional(.name, \.asText)
      self = .hello(min: min, max: max)
    case "register":
      self = .register(
        try message.required(.name, \.asName),
        try message.required(.endpoint, \.asEndpoint),
        try message.required(.policy, \.asPolicy),
        after: try message.optional(.after, \.asGeneration) ?? 0)
    case "lookup":
      self = .lookup(
        try message.required(.name, \.asName),
        after: try message.optional(.after, \.asGeneration) ?? 0,
        wait: try message.optional(.wait, \.asBool) ?? false,
        id: try message.optional(.id, \.asUInt64) ?? 0)
    case "cancel":
      self = .cancel(id: try message.required(.id, \.asUInt64))
    case "unregister":
      self = .unregister(
        try message.required(.name, \.asName),
        generation: try message.required(.generation, \.asGeneration))
    case "list": self = .list
    case "watch": self = .watch
    case "unwatch": self = .unwatch
    case "status": self = .status
    default: throw .unknownOperation
    }
  }
}

extension Message {
  /// Reads the field of `key`, and fails if it is missing or not valid.
  func required<T>(_ key: Key, _ read: (WireValue) -> T?) throws(Failure) -> T {
    guard let value = self[key], let result = read(value) else { throw .badRequest(key) }
    return result
  }

  /// Reads the field of `key`, or returns nil if it is missing.
  ///
  /// Fails if it is not valid.
  func optional<T>(_ key: Key, _ read: (WireValue) -> T?) throws(Failure) -> T? {
    guard let value = self[key] else { return nil }
    guard let result = read(value) else { throw .badRequest(key) }
    return result
  }
}

/// Conversions to the types of fields.
///
/// Each is nil if the value has another type or is out of range.
extension WireValue {
  var asText: String? {
    if case .string(let text) = self { text } else { nil }
  }

  fileprivate var asBool: Bool? {
    if case .bool(let flag) = self { flag } else { nil }
  }

  fileprivate var asUInt64: UInt64? {
    switch self {
    case .uint64(let number): number
    case .int64(let number): UInt64(exactly: number)
    default: nil
    }
  }

  fileprivate var asGeneration: UInt64? {
    asUInt64.flatMap { $0 < Limits.generation ? $0 : nil }
  }

  fileprivate var asEndpoint: Handle? {
    if case .endpoint(let endpoint) = self { endpoint } else { nil }
  }

  fileprivate var asName: Name? {
    asText.flatMap { Name($0) }
  }

  fileprivate var asPolicy: Policy? {
    asText.flatMap { Policy(rawValue: $0) }
  }
}
