/// The name of a service: 1 to 128 bytes, which are letters of ASCII, digits, dots, underscores or hyphens.
public struct Name: Hashable, Comparable, Sendable {
  /// The most bytes that a name has.
  public static let maximumLength = 128

  /// The name as text.
  public let text: String

  /// Takes `text` for a name, or gives nil when it is none.
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
