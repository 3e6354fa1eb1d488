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
public enum Effect: Equatable {
  /// Answer a request of this peer, once, through what came with it.
  case reply(Handle, Message, to: PeerID)
  /// Send this peer an event.
  case event(Message, to: PeerID)
  /// Cancel this peer's connection without an answer.
  case refuse(PeerID, Refusal)
  /// Begin (true) or end the transaction that tells the system that the broker is in use.
  case transaction(Bool)
}
