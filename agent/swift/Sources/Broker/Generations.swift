/// Assigns generations.
///
/// Those of one name only grow.
struct Generations {
  /// How many names are remembered before names without a registration are forgotten.
  static let remembered = 65_536

  private var last: [Name: UInt64] = [:]

  /// Assigns the next generation of `name`.
  ///
  /// It is above the name's last one, above `after` and not below `clock` (microseconds since 1970). It is
  /// nil if no generation is left that JavaScript represents exactly.
  mutating func next(of name: Name, after: UInt64, clock: UInt64) -> UInt64? {
    let next = max(last[name].map { $0 + 1 } ?? 0, after + 1, clock)
    guard next < Limits.generation else { return nil }
    last[name] = next
    return next
  }

  /// Forgets names if there are too many of them.
  ///
  /// A name can be forgotten when its generation is below the clock, because the clock then decides its next
  /// generation. Names for which `isNeeded` returns true stay.
  mutating func prune(clock: UInt64, isNeeded: (Name) -> Bool) {
    guard last.count > Self.remembered else { return }
    last = last.filter { name, generation in generation >= clock || isNeeded(name) }
    // So many generations above the clock come from a misbehaving peer, which sent them as `after`.
    if last.count > Self.remembered { last = last.filter { name, _ in isNeeded(name) } }
  }
}
