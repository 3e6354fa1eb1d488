/// The state and the rules of the broker, without its connections.
///
/// Each call reports an event and returns the effects to carry out. The core uses no XPC, no threads and no
/// clock of its own. Its owner reports one event at a time and carries out the effects in order. The core is
/// not `Sendable`, so the compiler keeps it with one owner.
public struct Core {
  /// Who the broker is and whom it serves.
  public struct Identity: Sendable {
    /// The name of the Mach service that the broker vends.
    public var service: String
    /// The id of its process.
    public var pid: Int64
    /// The effective id of the one user whom it serves.
    public var user: UInt32

    /// Creates an identity.
    public init(service: String, pid: Int64, user: UInt32) {
      self.service = service
      self.pid = pid
      self.user = user
    }
  }

  /// The two clocks that the broker reads.
  public struct Clocks {
    /// Microseconds since 1970.
    public var wall: () -> UInt64
    /// Milliseconds since the broker started.
    public var uptime: () -> UInt64

    /// Creates clocks from two functions.
    public init(wall: @escaping () -> UInt64, uptime: @escaping () -> UInt64) {
      self.wall = wall
      self.uptime = uptime
    }
  }

  struct Peer {
    var pid: Int64
    var saidHello = false
  }

  let identity: Identity
  let clocks: Clocks
  var registry = Registry()
  var waiting = WaitingLookups()
  var watchers: [PeerID] = []
  var peers: [PeerID: Peer] = [:]
  private var holdsTransaction = false
  /// The effects, so far, of the event that is being handled.
  private var effects: [Effect] = []

  /// Whether `terminate` was called.
  public private(set) var isTerminating = false

  /// Creates a broker without peers.
  public init(identity: Identity, clocks: Clocks) {
    self.identity = identity
    self.clocks = clocks
  }

  // MARK: Events

  /// A peer connected.
  ///
  /// `pid` and `user` come from the kernel.
  public mutating func connected(_ peer: PeerID, pid: Int64, user: UInt32) -> [Effect] {
    guard user == identity.user else { return [.refuse(peer, .user(user))] }
    guard peers.count < Limits.peers else { return [.refuse(peer, .limit)] }
    peers[peer] = Peer(pid: pid)
    return []
  }

  /// The system found that the peer does not meet the code-signing requirement.
  public mutating func failedRequirement(_ peer: PeerID) -> [Effect] {
    [.refuse(peer, .requirement)] + gone(peer)
  }

  /// The peer's connection is invalid.
  ///
  /// Its registrations, waiting lookups and watch end at once.
  public mutating func gone(_ peer: PeerID) -> [Effect] {
    collect { core in
      guard core.peers.removeValue(forKey: peer) != nil else { return }
      core.watchers.removeAll { $0 == peer }
      _ = core.waiting.take(of: peer)
      for (name, registration) in core.registry.removeAll(of: peer) {
        core.tellWatchers(.unregistered, name, registration)
      }
    }
  }

  /// A message arrived.
  ///
  /// If the peer expects no reply, `reply` is nil and the message is dropped.
  public mutating func received(
    _ message: Message, from peer: PeerID, reply: Handle?
  ) -> [Effect] {
    collect { core in
      guard let reply, let pid = core.peers[peer]?.pid else { return }
      let asker = Asker(peer: peer, pid: pid, reply: reply)
      do throws(Failure) {
        if let answer = try core.answer(message, of: asker) { core.reply(reply, answer, to: peer) }
      } catch {
        core.reply(reply, error.reply(), to: peer)
      }
    }
  }

  /// The broker is about to end.
  ///
  /// Tells all peers that said hello, and answers all waiting lookups. A second call does nothing.
  public mutating func terminate() -> [Effect] {
    collect { core in
      guard !core.isTerminating else { return }
      core.isTerminating = true
      for peer in core.peers.filter(\.value.saidHello).keys.sorted() {
        core.event([.event: .string("terminating")], to: peer)
      }
      for waiter in core.waiting.takeAll() {
        core.reply(waiter.reply, Failure.terminating.reply(), to: waiter.peer)
      }
    }
  }

  // MARK: Effects

  mutating func reply(_ reply: Handle, _ message: Message, to peer: PeerID) {
    effects.append(.reply(reply, message, to: peer))
  }

  mutating func event(_ message: Message, to peer: PeerID) {
    effects.append(.event(message, to: peer))
  }

  /// Runs `body` and returns its effects.
  ///
  /// Begins the transaction with the first registration and ends it with the last.
  private mutating func collect(_ body: (inout Self) -> Void) -> [Effect] {
    body(&self)
    let needsTransaction = !registry.registrations.isEmpty
    if needsTransaction != holdsTransaction {
      holdsTransaction = needsTransaction
      effects.append(.transaction(needsTransaction))
    }
    defer { effects.removeAll(keepingCapacity: true) }
    return effects
  }
}
