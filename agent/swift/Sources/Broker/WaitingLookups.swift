/// The lookups that wait for a registration.
struct WaitingLookups {
  /// A lookup that waits.
  struct Waiter {
    var name: Name
    var peer: PeerID
    var reply: Handle
    var after: UInt64
    /// The number that the peer gave to the lookup, or 0.
    var id: UInt64
  }

  /// The lookups by a number that grows, so that the numbers give the order of arrival.
  private var waiters: [UInt64: Waiter] = [:]
  private var byName: [Name: Set<UInt64>] = [:]
  private var byPeer: [PeerID: Set<UInt64>] = [:]
  private var byID: [PeerID: [UInt64: UInt64]] = [:]
  private var lastNumber: UInt64 = 0

  var count: Int { waiters.count }

  /// Returns how many lookups of the peer wait.
  func count(of peer: PeerID) -> Int { byPeer[peer]?.count ?? 0 }

  /// Returns whether a lookup of the peer waits with this id.
  func has(_ id: UInt64, of peer: PeerID) -> Bool { byID[peer]?[id] != nil }

  mutating func add(_ waiter: Waiter) {
    lastNumber += 1
    waiters[lastNumber] = waiter
    byName[waiter.name, default: []].insert(lastNumber)
    byPeer[waiter.peer, default: []].insert(lastNumber)
    if waiter.id != 0 { byID[waiter.peer, default: [:]][waiter.id] = lastNumber }
  }

  /// Removes and returns the lookups of `name` that this generation satisfies.
  mutating func take(_ name: Name, below generation: UInt64) -> [Waiter] {
    take(byName[name]) { $0.after < generation }
  }

  /// Removes and returns the lookup of the peer with this id.
  mutating func take(_ id: UInt64, of peer: PeerID) -> Waiter? {
    byID[peer]?[id].flatMap { remove($0) }
  }

  /// Removes and returns all lookups of the peer.
  mutating func take(of peer: PeerID) -> [Waiter] { take(byPeer[peer]) { _ in true } }

  /// Removes and returns all lookups.
  mutating func takeAll() -> [Waiter] { take(Set(waiters.keys)) { _ in true } }

  private mutating func take(_ numbers: Set<UInt64>?, where matches: (Waiter) -> Bool) -> [Waiter] {
    (numbers ?? []).filter { waiters[$0].map(matches) ?? false }.sorted().compactMap { remove($0) }
  }

  private mutating func remove(_ number: UInt64) -> Waiter? {
    guard let waiter = waiters.removeValue(forKey: number) else { return nil }
    byName[waiter.name]?.remove(number)
    if byName[waiter.name]?.isEmpty == true { byName[waiter.name] = nil }
    byPeer[waiter.peer]?.remove(number)
    if byPeer[waiter.peer]?.isEmpty == true { byPeer[waiter.peer] = nil }
    byID[waiter.peer]?[waiter.id] = nil
    if byID[waiter.peer]?.isEmpty == true { byID[waiter.peer] = nil }
    return waiter
  }
}
