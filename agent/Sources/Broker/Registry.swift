/// Who serves which name.
struct Registry<Endpoint> {
  /// One app that serves one name.
  struct Registration {
    var peer: PeerID
    var pid: Int64
    var generation: UInt64
    var endpoint: Endpoint
    /// Nanoseconds since 1970.
    var since: Int64
  }

  private(set) var registrations: [Name: Registration] = [:]
  private var held: [PeerID: [Name: UInt64]] = [:]
  private var generations = Generations()

  subscript(name: Name) -> Registration? { registrations[name] }

  /// How many registrations the peer holds.
  func count(of peer: PeerID) -> Int { held[peer]?.count ?? 0 }

  /// Puts the peer's registration in the place of whatever is there. Nil when no generation is left.
  mutating func register(
    _ name: Name, _ endpoint: Endpoint, peer: PeerID, pid: Int64, after: UInt64, clock: UInt64
  ) -> (new: Registration, old: Registration?)? {
    guard let generation = generations.next(of: name, after: after, clock: clock) else { return nil }
    let new = Registration(
      peer: peer, pid: pid, generation: generation, endpoint: endpoint, since: Int64(clock) * 1000)
    let old = registrations.updateValue(new, forKey: name)
    if let old { release(name, old) }
    held[peer, default: [:]][name] = generation
    generations.prune(clock: clock) { registrations[$0] != nil }
    return (new, old)
  }

  /// Removes a registration.
  mutating func remove(_ name: Name) {
    guard let old = registrations.removeValue(forKey: name) else { return }
    release(name, old)
  }

  /// Removes all that the peer holds, by connection and generation, and tells what that was, ordered by
  /// the names' bytes.
  mutating func removeAll(of peer: PeerID) -> [(name: Name, registration: Registration)] {
    let names = (held.removeValue(forKey: peer) ?? [:]).sorted { $0.key < $1.key }
    return names.compactMap { name, generation in
      guard let registration = registrations[name],
        registration.peer == peer, registration.generation == generation
      else { return nil }
      registrations[name] = nil
      return (name, registration)
    }
  }

  private mutating func release(_ name: Name, _ registration: Registration) {
    held[registration.peer]?[name] = nil
    if held[registration.peer]?.isEmpty == true { held[registration.peer] = nil }
  }
}
