/// Gives out the generations of all names, which only grow.
struct Generations {
  /// How many names without a registration are remembered.
  static let remembered = 65_536

  private var last: [Name: UInt64] = [:]

  /// The next generation of `name`: above its last, above `after`, and not below `clock` (microseconds
  /// since 1970), or nil when there is none left that JavaScript could read exactly.
  mutating func next(of name: Name, after: UInt64, clock: UInt64) -> UInt64? {
    let next = max(last[name].map { $0 + 1 } ?? 0, after + 1, clock)
    guard next < Limits.generation else { return nil }
    last[name] = next
    return next
  }

  /// Forgets names, when there are too many, whose generations the clock has passed: their next one
  /// follows from the clock. `isNeeded` says which have to stay.
  mutating func prune(clock: UInt64, isNeeded: (Name) -> Bool) {
    guard last.count > Self.remembered else { return }
    last = last.filter { name, generation in generation >= clock || isNeeded(name) }
    // Nobody asks for this many generations from the future in good faith.
    if last.count > Self.remembered { last = last.filter { name, _ in isNeeded(name) } }
  }
}
