/// The name of a service: 1 to 128 ASCII letters, digits, dots, underscores and hyphens.
public struct Name: Hashable, Comparable, Sendable {
  /// The maximum number of bytes of a name.
  public static let maximumLength = 128

  /// The name as text.
  public let text: String

  /// Creates a name, or gives nil if `text` is not a valid one.
  public init?(_ text: String) {
    let bytes = text.utf8
    guard (1...Self.maximumLength).contains(bytes.count), bytes.allSatisfy(Self.allows) else { return nil }
    self.text = text
  }

  /// Orders names by their bytes.
  public static func < (left: Name, right: Name) -> Bool {
    left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
  }

  private static func allows(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
      true
    default:
      false
    }
  }
}
