/// The limits of the broker.
///
/// A request beyond one of them fails with `limit`.
public enum Limits {
  /// How many registrations one peer may hold.
  public static let registrations = 1024

  /// How many lookups of one peer may wait.
  public static let waiting = 1024

  /// How many peers may be connected at once.
  ///
  /// The broker refuses further peers.
  public static let peers = 4096

  /// How many keys a message may have, unknown ones included.
  public static let keys = 64

  /// Generations stay below 2^53, so that JavaScript reads them exactly.
  public static let generation: UInt64 = 1 << 53
}
