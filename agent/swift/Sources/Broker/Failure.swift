/// Why a request fails, as in the table of errors in PROTOCOL.md.
public enum Failure: Error, Equatable, Sendable {
  /// The field of this key is missing, of another type or out of range.
  case badRequest(Key)
  case unknownOperation
  case helloFirst
  case unsupportedVersion
  case nameTaken(generation: UInt64, pid: Int64)
  case notFound
  case notRegistered
  case notOwner
  case cancelled
  case limit
  case terminating

  /// The code, for programs.
  public var code: String {
    switch self {
    case .badRequest: "bad_request"
    case .unknownOperation: "unknown_op"
    case .helloFirst: "hello_first"
    case .unsupportedVersion: "unsupported_version"
    case .nameTaken: "name_taken"
    case .notFound: "not_found"
    case .notRegistered: "not_registered"
    case .notOwner: "not_owner"
    case .cancelled: "cancelled"
    case .limit: "limit"
    case .terminating: "terminating"
    }
  }

  /// The message, for people.
  public var message: String {
    switch self {
    case .badRequest(let key):
      "Cannot read the request: \(key.rawValue) is missing, of another type or out of range"
    case .unknownOperation:
      "Cannot find this operation: the request asks for another than version 1 has"
    case .helloFirst: "Cannot serve a request before hello"
    case .unsupportedVersion: "Cannot agree on a version: this broker speaks 1 to 1"
    case .nameTaken: "Cannot register this name: another app serves it"
    case .notFound: "Cannot find a service of this name"
    case .notRegistered: "Cannot unregister this name: nobody serves it"
    case .notOwner: "Cannot unregister this name: another registration holds it"
    case .cancelled: "Cannot answer this lookup: it was cancelled"
    case .limit: "Cannot take more: a limit of this broker is reached"
    case .terminating: "Cannot serve this request: the broker is about to end"
    }
  }

  /// The reply with this error.
  func reply() -> Message {
    var reply: Message = [.ok: .bool(false), .code: .string(code), .message: .string(message)]
    if case .nameTaken(let generation, let pid) = self {
      reply.append(.generation, .uint64(generation))
      reply.append(.pid, .int64(pid))
    }
    return reply
  }
}
