import Broker
import CAgent
import CShim

/// Connects the core of the broker to XPC.
///
/// The agent passes XPC's events to the core and carries out the effects that the core returns. It takes the
/// events from the shim's queue on a thread of its own. After `start`, only that thread uses the agent and
/// the core, so there is no lock, and nothing here is `Sendable`. Other threads get the stop link only, to
/// cancel it.
final class Agent {
  private let settings: Settings
  private var broker: Core
  private let queue: OpaquePointer
  private let listener: Link
  private let stop: Link
  private var links: [PeerID: Link] = [:]
  /// While the agent ends: the peers whose last messages are not sent yet.
  private var flushing: Set<PeerID>?

  private typealias Link = OpaquePointer

  private init(_ settings: Settings, queue: OpaquePointer, listener: Link, stop: Link) {
    self.settings = settings
    self.queue = queue
    self.listener = listener
    self.stop = stop
    let start = agent_monotonic_milliseconds()
    broker = Core(
      identity: .init(
        service: settings.service, pid: ThisProcess.id, user: ThisProcess.user),
      clocks: .init(
        wall: agent_microseconds_since_1970, uptime: { agent_monotonic_milliseconds() - start }))
  }

  /// Why the agent cannot start.
  enum StartError: Error {
    /// The requirement is malformed, or the system cannot check requirements.
    case requirement
    /// The system is out of memory or threads.
    case resources
  }

  /// Starts an agent, which serves on a thread of its own until the process ends.
  ///
  /// - Returns: The stop link. When any thread cancels it, the agent tells all peers and ends the process.
  static func start(_ settings: Settings) throws(StartError) -> OpaquePointer {
    guard let queue = shim_queue_create(nil),
      let stop = shim_link_listen_anonymous(queue),
      let listener = shim_link_listen(queue, settings.service)
    else { throw .resources }
    // No peer connects to the stop link. It only shows whether the requirement can be set on a link at all.
    if let requirement = settings.requirement, shim_link_require(stop, requirement) != 0 {
      throw .requirement
    }
    // The thread owns the agent from here on.
    let agent = Unmanaged.passRetained(Agent(settings, queue: queue, listener: listener, stop: stop))
    let body: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { context in
      if let context { Unmanaged<Agent>.fromOpaque(context).takeRetainedValue().serve() }
      return nil
    }
    guard agent_start_thread(body, agent.toOpaque()) == 0 else { throw .resources }
    shim_link_activate(stop)
    shim_link_activate(listener)
    return stop
  }

  // MARK: Events

  /// Handles events until the process ends: nobody finishes the queue.
  private func serve() {
    let capacity = 64
    withUnsafeTemporaryAllocation(of: shim_event.self, capacity: capacity) { events in
      while shim_queue_wait(queue) {
        let count = Int(shim_queue_drain(queue, events.baseAddress, UInt32(capacity)))
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
      if event.source == shim_link_id(listener) {
        listenerFailed(error)
      } else if event.source == shim_link_id(stop) {
        terminate()
      } else {
        peerFailed(peer, error)
      }
    case SHIM_EVENT_BARRIER:
      flushed(peer)
    default:
      break  // the agent causes no other events
    }
  }

  private func accept(_ link: Link) {
    let peer = PeerID(shim_link_id(link))
    links[peer] = link
    perform(broker.connected(peer, pid: agent_peer_pid(link), user: agent_peer_euid(link)))
    if let requirement = settings.requirement, shim_link_require(link, requirement) != 0 {
      perform(broker.failedRequirement(peer))
    }
    shim_link_activate(link)  // no effect if the peer was refused
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
      break  // the connection stays open
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

  /// The system's reason why the listener is invalid, if it gives one.
  private var reason: String? {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
      let length = shim_link_reason(listener, buffer.baseAddress, UInt32(buffer.count))
      return length == 0 ? nil : buffer.baseAddress.map { String(cString: $0) }
    }
  }

  private static var usualReason: String {
    #if canImport(Darwin)
      "launchd did not start this process for the service. Install it with: deno task agent:install"
    #else
      "another process serves it, or its socket cannot be created. Stop that process or use another --service"
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

  // MARK: Termination

  /// Tells all peers that the broker ends.
  ///
  /// Ends the process when these messages are sent.
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
  /// The reason, as the log states it.
  fileprivate var explanation: String {
    switch self {
    case .user(let user): "it runs as user \(user)"
    case .requirement: "it does not meet the code-signing requirement"
    case .limit: "the limit of \(Limits.peers) connected peers is reached"
    }
  }
}
