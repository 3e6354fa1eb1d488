import Broker
import CAgent
import CShim

/// The broker with its connections: events of XPC in, effects of the broker out.
///
/// The shim's queue calls `drain` on its one thread, never twice at a time; from `start` on, that thread
/// alone touches the agent and the broker in it. So there is no lock, and nothing here is `Sendable`. All
/// that another thread gets is the stop link, to cancel it.
final class Agent {
  private let settings: Settings
  private var broker: Core
  private var queue: OpaquePointer?
  private var links: [PeerID: Link] = [:]
  private var listener: Link?
  private var stop: Link?
  /// While the broker ends: the peers that have not got all that was sent to them.
  private var flushing: Set<PeerID>?

  private typealias Link = OpaquePointer

  init(_ settings: Settings) {
    self.settings = settings
    let start = agent_monotonic_milliseconds()
    broker = Core(
      identity: .init(
        service: settings.service, pid: ThisProcess.id, user: ThisProcess.user),
      clocks: .init(
        wall: agent_microseconds_since_1970, uptime: { agent_monotonic_milliseconds() - start }))
  }

  /// Why the agent cannot start.
  enum StartError: Error {
    /// The system cannot check the requirement, or it is not well-formed.
    case requirement
    /// No memory or no thread can be had.
    case resources
  }

  /// Begins to serve, on a thread of its own, for the rest of the process.
  ///
  /// - Returns: the stop link: once somebody cancels it, from any thread, the agent ends the process.
  static func start(_ settings: Settings) throws(StartError) -> OpaquePointer {
    let agent = Agent(settings)
    let context = Unmanaged.passRetained(agent).toOpaque()
    let wake: @convention(c) (UnsafeMutableRawPointer?) -> Void = { context in
      guard let context else { return }
      Unmanaged<Agent>.fromOpaque(context).takeUnretainedValue().drain()
    }
    guard let queue = shim_queue_create(wake, context),
      let stop = shim_link_listen_anonymous(queue),
      let listener = shim_link_listen(queue, settings.service)
    else { throw .resources }
    // The stop link needs no requirement: setting it there tells whether it could be set on a peer.
    if let requirement = settings.requirement, shim_link_require(stop, requirement) != 0 {
      throw .requirement
    }
    agent.queue = queue
    agent.stop = stop
    agent.listener = listener
    shim_link_activate(stop)
    shim_link_activate(listener)
    return stop
  }

  // MARK: Events

  private func drain() {
    let capacity = 64
    withUnsafeTemporaryAllocation(of: shim_event.self, capacity: capacity) { events in
      while true {
        let count = Int(shim_queue_drain(queue, events.baseAddress, UInt32(capacity)))
        if count == 0 { return }
        for event in events.prefix(count) { handle(event) }
      }
    }
  }

  private func handle(_ event: shim_event) {
    let peer = PeerID(event.source)
    switch shim_event_kind(rawValue: event.kind) {
    case SHIM_EVENT_PEER:
      if let link = event.link { accept(OpaquePointer(link)) }
    case SHIM_EVENT_MESSAGE:
      if let message = event.object { receive(XPCObject(owned: message), from: peer) }
    case SHIM_EVENT_ERROR:
      let error = shim_error(rawValue: UInt32(bitPattern: event.value))
      if event.source == listener.map({ shim_link_id($0) }) {
        listenerFailed(error)
      } else if event.source == stop.map({ shim_link_id($0) }) {
        terminate()
      } else {
        peerFailed(peer, error)
      }
    case SHIM_EVENT_BARRIER:
      flushed(peer)
    default:
      break  // the agent asks for nothing else
    }
  }

  private func accept(_ link: Link) {
    let peer = PeerID(shim_link_id(link))
    links[peer] = link
    perform(broker.connected(peer, pid: agent_peer_pid(link), user: agent_peer_euid(link)))
    if let requirement = settings.requirement, shim_link_require(link, requirement) != 0 {
      perform(broker.failedRequirement(peer))
    }
    shim_link_activate(link)  // nothing, if it was refused
  }

  private func receive(_ message: XPCObject, from peer: PeerID) {
    let reply = message.use { agent_reply($0) }.map { XPCObject(owned: $0) }
    perform(broker.received(Message(reading: message), from: peer, reply: reply))
  }

  private func peerFailed(_ peer: PeerID, _ error: shim_error) {
    switch error {
    case SHIM_ERROR_INVALID:
      perform(broker.gone(peer))
      if let link = links.removeValue(forKey: peer) { shim_link_release(link) }
      flushed(peer)
    case SHIM_ERROR_REQUIREMENT:
      perform(broker.failedRequirement(peer))
    case SHIM_ERROR_TERMINATING:
      terminate()
    default:
      break  // the connection lives on
    }
  }

  private func listenerFailed(_ error: shim_error) {
    switch error {
    case SHIM_ERROR_INVALID where !broker.isTerminating:
      Log.error("Cannot listen on \(settings.service): \(reason ?? Self.usualReason)")
      end(.unavailable)
    case SHIM_ERROR_TERMINATING:
      terminate()
    default:
      break
    }
  }

  /// Why the listener is invalid, where the system tells.
  private var reason: String? {
    guard let listener else { return nil }
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
      let length = shim_link_reason(listener, buffer.baseAddress, UInt32(buffer.count))
      return length == 0 ? nil : buffer.baseAddress.map { String(cString: $0) }
    }
  }

  private static var usualReason: String {
    #if canImport(Darwin)
      "launchd did not start this process for it"
    #else
      "another process serves it, or its socket cannot be made"
    #endif
  }

  // MARK: Effects

  private func perform(_ effects: [Effect]) {
    for effect in effects {
      switch effect {
      case .reply(let reply, let message, let peer):
        guard let reply = reply.object else { continue }
        message.write(to: reply)
        send(reply, to: peer)
      case .event(let message, let peer):
        send(message.dictionary(), to: peer)
      case .refuse(let peer, let reason):
        guard let link = links[peer] else { continue }
        Log.notice("refuses process \(agent_peer_pid(link)): \(reason.explanation)")
        shim_link_cancel(link)
      case .transaction(let begins):
        begins ? agent_transaction_begin() : agent_transaction_end()
      }
    }
  }

  private func send(_ message: XPCObject, to peer: PeerID) {
    if let link = links[peer] { message.use { shim_link_send(link, $0) } }
  }

  // MARK: The end

  /// Tells all peers, and ends the process when that has left.
  private func terminate() {
    guard !broker.isTerminating else { return }
    perform(broker.terminate())
    flushing = Set(links.keys)
    for link in links.values { shim_link_barrier(link, 0) }
    endWhenFlushed()
  }

  private func flushed(_ peer: PeerID) {
    guard flushing?.remove(peer) != nil else { return }
    endWhenFlushed()
  }

  private func endWhenFlushed() {
    guard flushing?.isEmpty == true else { return }
    Log.notice("ends")
    end(.success)
  }
}

extension Refusal {
  /// The rest of the line that the log gets.
  fileprivate var explanation: String {
    switch self {
    case .user(let user): "it runs as user \(user)"
    case .requirement: "it does not meet the code-signing requirement"
    case .limit: "\(Limits.peers) peers are connected"
    }
  }
}
