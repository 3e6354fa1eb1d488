/// How much the broker takes on: beyond it, a request is answered with `limit`.
public enum Limits {
  /// Registrations that one peer may hold.
  public static let registrations = 1024

  /// Lookups of one peer that may wait.
  public static let waiting = 1024

  /// Peers that may be connected at once; one more is refused.
  public static let peers = 4096

  /// Keys in one message, those that the protocol does not know included.
  public static let keys = 64

  /// Generations stay below 2^53, so that JavaScript reads them exactly.
  public static let generation: UInt64 = 1 << 53
}
