/// The connected peers.
///
/// A silent peer is one that has not said hello. It loses its connection when its time is over, or as soon as
/// its place is needed, so that silent connections cannot keep others out.
struct Peers {
  struct Peer {
    var pid: Int64
    var saidHello = false
  }

  private var all: [PeerID: Peer] = [:]
  /// The silent peers and the uptime at which each connected, the earliest first.
  private var silent: [(peer: PeerID, since: UInt64)] = []

  var count: Int { all.count }

  /// The peers that said hello, in the order of their connections.
  var greeted: [PeerID] { all.filter(\.value.saidHello).keys.sorted() }

  /// The peer that has been silent longest.
  var oldestSilent: PeerID? { silent.first?.peer }

  /// The uptime at which the time of the peer that has been silent longest is over.
  var endOfSilence: UInt64? { silent.first.map { $0.since + Limits.silence } }

  subscript(peer: PeerID) -> Peer? { all[peer] }

  /// Returns the silent peers whose time is over.
  func overdue(at uptime: UInt64) -> [PeerID] {
    silent.prefix { $0.since + Limits.silence <= uptime }.map(\.peer)
  }

  mutating func add(_ peer: PeerID, pid: Int64, at uptime: UInt64) {
    all[peer] = Peer(pid: pid)
    silent.append((peer, uptime))
  }

  /// Notes that the peer said hello.
  mutating func greet(_ peer: PeerID) {
    guard all[peer]?.saidHello == false else { return }
    all[peer]?.saidHello = true
    endSilence(of: peer)
  }

  /// Removes the peer and returns whether it was there.
  mutating func remove(_ peer: PeerID) -> Bool {
    guard let removed = all.removeValue(forKey: peer) else { return false }
    if !removed.saidHello { endSilence(of: peer) }
    return true
  }

  private mutating func endSilence(of peer: PeerID) {
    if let index = silent.firstIndex(where: { $0.peer == peer }) { silent.remove(at: index) }
  }
}
