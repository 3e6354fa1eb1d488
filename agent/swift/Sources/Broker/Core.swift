/// The broker without its connections: it is told what happened and says what is to be done.
///
/// It knows no XPC, no thread and no clock of its own. Whoever owns it tells it one thing at a time and
/// carries out the effects in their order; it is not `Sendable`, so the compiler keeps it with one owner.
public struct Core {
  /// What the broker is told when it starts.
  public struct Identity: Sendable {
    /// The name of the Mach service that it vends.
    public var service: String
    /// Its own process.
    public var pid: Int64
    /// The one user whom it serves.
    public var user: UInt32

    /// Describes a broker.
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

    /// Reads these clocks.
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
  var waiting = WaitingRoom()
  var watchers: [PeerID] = []
  var peers: [PeerID: Peer] = [:]
  private var holdsTransaction = false
  /// Collected while one thing is handled.
  private var effects: [Effect] = []

  /// Whether the broker is about to end.
  public private(set) var isTerminating = false

  /// Makes a broker that knows nobody.
  public init(identity: Identity, clocks: Clocks) {
    self.identity = identity
    self.clocks = clocks
  }

  // MARK: What it is told

  /// Somebody connected; pid and user are the kernel's word.
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

  /// The peer's connection is invalid: all that it had is gone at once.
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

  /// A message came. `reply` is nil when none is awaited: then the message is dropped.
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

  /// The broker is to end: tells all, and answers what waits. Nothing happens the second time.
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

  // MARK: What it wants done

  mutating func reply(_ reply: Handle, _ message: Message, to peer: PeerID) {
    effects.append(.reply(reply, message, to: peer))
  }

  mutating func event(_ message: Message, to peer: PeerID) {
    effects.append(.event(message, to: peer))
  }

  /// Collects the effects of `body`; the transaction follows from what is registered after it.
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
