/// Identifies a peer, which is one connection to the broker.
///
/// The number belongs to the connection. No two connections have the same one.
public struct PeerID: Hashable, Comparable, Sendable {
  /// The connection's number.
  public let number: UInt32

  /// Identifies the peer of connection `number`.
  public init(_ number: UInt32) {
    self.number = number
  }

  /// Orders peers by the time of their connection.
  public static func < (left: PeerID, right: PeerID) -> Bool { left.number < right.number }
}

/// Why the broker refuses a peer.
public enum Refusal: Equatable, Sendable {
  /// The peer runs as another user.
  case user(UInt32)
  /// The peer does not meet the code-signing requirement.
  case requirement
  /// The limit of connected peers is reached.
  case limit
}

/// An action that the core asks its owner for.
///
/// The owner carries out all actions in order.
public enum Effect: Equatable {
  /// Send the reply to a request of this peer, through the handle that came with the request.
  case reply(Handle, Message, to: PeerID)
  /// Send this peer an event.
  case event(Message, to: PeerID)
  /// Cancel this peer's connection without an answer.
  case refuse(PeerID, Refusal)
  /// Begin (true) or end (false) the transaction, which tells the system that the broker is in use.
  case transaction(Bool)
}
