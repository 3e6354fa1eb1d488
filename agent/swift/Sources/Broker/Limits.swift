/// The limits of the broker.
public enum Limits {
  /// How many registrations one peer may hold.
  public static let registrations = 1024

  /// How many lookups of one peer may wait.
  public static let waiting = 1024

  /// How many peers may be connected at once.
  ///
  /// If one more connects, the peer that has been silent longest loses its connection. If all have said hello,
  /// the broker refuses the new one.
  public static let peers = 4096

  /// How many milliseconds a peer may stay connected without hello.
  public static let silence: UInt64 = 5000

  /// How many services `list` and `watch` answer with.
  ///
  /// More could exceed the longest message.
  public static let listed = 8_192

  /// How many keys a message may have, unknown ones included.
  public static let keys = 64

  /// Generations stay below 2^53, so that JavaScript reads them exactly.
  public static let generation: UInt64 = 1 << 53
}
