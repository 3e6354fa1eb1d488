/// A peer of the broker: whoever connected to it.
///
/// The number is the connection's, never used again.
public struct PeerID: Hashable, Comparable, Sendable {
  /// The connection's number.
  public let number: UInt32

  /// Names the peer of connection `number`.
  public init(_ number: UInt32) {
    self.number = number
  }

  /// Orders peers by when they came.
  public static func < (left: PeerID, right: PeerID) -> Bool { left.number < right.number }
}

/// Why a peer is not served at all.
public enum Refusal: Equatable, Sendable {
  /// It runs as another user.
  case user(UInt32)
  /// It does not meet the code-signing requirement.
  case requirement
  /// As many peers as the broker takes are connected.
  case limit
}

/// What the broker wants done, in this order, after it was told something.
///
/// - Parameters:
///   - Endpoint: what leads to a service.
///   - Reply: what a request is answered through, once.
public enum Effect<Endpoint, Reply> {
  /// Answer a request of this peer.
  case reply(Reply, Message<Endpoint>, to: PeerID)
  /// Send this peer an event.
  case event(Message<Endpoint>, to: PeerID)
  /// Cancel this peer's connection without an answer.
  case refuse(PeerID, Refusal)
  /// Begin (true) or end the transaction that tells the system that the broker is in use.
  case transaction(Bool)
}

extension Effect: Equatable where Endpoint: Equatable, Reply: Equatable {}
extension Effect: Sendable where Endpoint: Sendable, Reply: Sendable {}
