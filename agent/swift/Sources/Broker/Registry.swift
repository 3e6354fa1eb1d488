/// The registrations, by name.
struct Registry {
  /// A peer that serves a name.
  struct Registration {
    var peer: PeerID
    var pid: Int64
    var generation: UInt64
    var endpoint: Handle
    /// Nanoseconds since 1970.
    var since: Int64
    /// The place in the order of all registrations.
    fileprivate var number: UInt64
  }

  private(set) var registrations: [Name: Registration] = [:]
  /// The names that each peer holds now, without those that another peer took over.
  private var held: [PeerID: Set<Name>] = [:]
  private var generations = Generations()
  private var lastNumber: UInt64 = 0

  subscript(name: Name) -> Registration? { registrations[name] }

  /// Returns how many registrations the peer holds.
  func count(of peer: PeerID) -> Int { held[peer]?.count ?? 0 }

  /// Registers the peer under `name` and replaces the registration there, if any.
  ///
  /// Returns nil if no generation is left.
  mutating func register(
    _ name: Name, _ endpoint: Handle, peer: PeerID, pid: Int64, after: UInt64, clock: UInt64
  ) -> (new: Registration, old: Registration?)? {
    guard let generation = generations.next(of: name, after: after, clock: clock) else { return nil }
    lastNumber += 1
    let new = Registration(
      peer: peer, pid: pid, generation: generation, endpoint: endpoint, since: Int64(clock) * 1000,
      number: lastNumber)
    let old = registrations.updateValue(new, forKey: name)
    if let old { release(name, old) }
    held[peer, default: []].insert(name)
    generations.prune(clock: clock) { registrations[$0] != nil }
    return (new, old)
  }

  /// Removes the registration of `name`, if there is one.
  mutating func remove(_ name: Name) {
    guard let old = registrations.removeValue(forKey: name) else { return }
    release(name, old)
  }

  /// Removes and returns all registrations of the peer, in their order.
  mutating func removeAll(of peer: PeerID) -> [(name: Name, registration: Registration)] {
    let names = held.removeValue(forKey: peer) ?? []
    return names.compactMap { name in registrations.removeValue(forKey: name).map { (name, $0) } }
      .sorted { $0.1.number < $1.1.number }
  }

  private mutating func release(_ name: Name, _ registration: Registration) {
    held[registration.peer]?.remove(name)
    if held[registration.peer]?.isEmpty == true { held[registration.peer] = nil }
  }
}
