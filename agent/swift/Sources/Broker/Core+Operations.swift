/// The operations, in the order of the table in PROTOCOL.md.
extension Core {
  /// The sender of a request, and the handle for the reply.
  struct Asker {
    var peer: PeerID
    var pid: Int64
    var reply: Handle
  }

  /// Answers a request, or returns nil if the reply comes later.
  ///
  /// Before this reads the fields of the operation, it checks in this order that the broker does not end,
  /// that the message is not too large, that `op` is a string, that the peer said hello, and that the
  /// operation exists.
  mutating func answer(
    _ message: Message, of asker: Asker
  ) throws(Failure) -> Message? {
    if isTerminating { throw .terminating }
    if message.keyCount > Limits.keys { throw .limit }
    let operation = try message.required(.op, \.asText)
    guard operation == "hello" || peers[asker.peer]?.saidHello == true else { throw .helloFirst }
    switch try Request(operation, message) {
    case .hello(let min, let max):
      return try hello(min: min, max: max, of: asker)
    case .register(let name, let endpoint, let policy, let after):
      return try register(name, endpoint, policy, after: after, for: asker)
    case .lookup(let name, let after, let wait, let id):
      return try lookup(name, after: after, wait: wait, id: id, for: asker)
    case .cancel(let id):
      return cancel(id, for: asker)
    case .unregister(let name, let generation):
      return try unregister(name, generation, for: asker)
    case .list:
      return try list()
    case .watch:
      let services = try list()
      if !watchers.contains(asker.peer) { watchers.append(asker.peer) }
      return services
    case .unwatch:
      watchers.removeAll { $0 == asker.peer }
      return [.ok: .bool(true)]
    case .status:
      return status
    }
  }

  /// Sends an event about a change to all watchers.
  mutating func tellWatchers(
    _ change: Change, _ name: Name, _ registration: Registry.Registration
  ) {
    for watcher in watchers {
      event(
        [
          .event: .string(change.rawValue), .name: .string(name.text),
          .generation: .uint64(registration.generation), .pid: .int64(registration.pid),
        ], to: watcher)
    }
  }

  /// The changes that watchers receive.
  enum Change: String {
    case registered, unregistered
  }

  private mutating func hello(
    min: UInt64, max: UInt64, of asker: Asker
  ) throws(Failure) -> Message {
    guard (min...max).contains(protocolVersion) else { throw .unsupportedVersion }
    peers.greet(asker.peer)
    return [
      .ok: .bool(true), .version: .uint64(protocolVersion), .broker: .string("swift"),
      .release: .string(release), .pid: .int64(identity.pid), .service: .string(identity.service),
    ]
  }

  private mutating func register(
    _ name: Name, _ endpoint: Handle, _ policy: Policy, after: UInt64, for asker: Asker
  ) throws(Failure) -> Message {
    let current = registry[name]
    if let current, current.peer != asker.peer {
      switch policy {
      case .reject: throw .nameTaken(generation: current.generation, pid: current.pid)
      case .replace: break
      case .join:
        return [
          .ok: .bool(true), .registered: .bool(false), .generation: .uint64(current.generation),
          .pid: .int64(current.pid), .endpoint: .endpoint(current.endpoint),
        ]
      }
    }
    let isOneMore = current?.peer != asker.peer
    if isOneMore, registry.count(of: asker.peer) >= Limits.registrations { throw .limit }
    let change = registry.register(
      name, endpoint, peer: asker.peer, pid: asker.pid, after: after, clock: clocks.wall())
    guard let (new, old) = change else { throw .limit }

    if let old {
      tellWatchers(.unregistered, name, old)
      if old.peer != asker.peer {
        event(
          [
            .event: .string("replaced"), .name: .string(name.text), .generation: .uint64(old.generation),
            .by: .uint64(new.generation), .pid: .int64(new.pid),
          ], to: old.peer)
      }
    }
    tellWatchers(.registered, name, new)
    let waiters = waiting.take(name, below: new.generation)
    for waiter in waiters { reply(waiter.reply, found(new), to: waiter.peer) }
    var answer: Message = [
      .ok: .bool(true), .registered: .bool(true), .generation: .uint64(new.generation),
      .pid: .int64(new.pid),
    ]
    if !waiters.isEmpty { answer.append(.waiting, .uint64(UInt64(waiters.count))) }
    return answer
  }

  private mutating func lookup(
    _ name: Name, after: UInt64, wait: Bool, id: UInt64, for asker: Asker
  ) throws(Failure) -> Message? {
    if let current = registry[name], current.generation > after { return found(current) }
    guard wait else { throw .notFound }
    if waiting.has(id, of: asker.peer) { throw .badRequest(.id) }
    guard waiting.count(of: asker.peer) < Limits.waiting else { throw .limit }
    waiting.add(.init(name: name, peer: asker.peer, reply: asker.reply, after: after, id: id))
    return nil
  }

  private func found(_ registration: Registry.Registration) -> Message {
    [
      .ok: .bool(true), .generation: .uint64(registration.generation),
      .endpoint: .endpoint(registration.endpoint), .pid: .int64(registration.pid),
    ]
  }

  private mutating func cancel(_ id: UInt64, for asker: Asker) -> Message {
    let waiter = waiting.take(id, of: asker.peer)
    if let waiter { reply(waiter.reply, Failure.cancelled.reply(), to: waiter.peer) }
    return [.ok: .bool(true), .cancelled: .bool(waiter != nil)]
  }

  private mutating func unregister(
    _ name: Name, _ generation: UInt64, for asker: Asker
  ) throws(Failure) -> Message {
    guard let current = registry[name] else { throw .notRegistered }
    guard current.peer == asker.peer, current.generation == generation else { throw .notOwner }
    registry.remove(name)
    tellWatchers(.unregistered, name, current)
    return [.ok: .bool(true)]
  }

  private func list() throws(Failure) -> Message {
    guard registry.registrations.count <= Limits.listed else { throw .limit }
    let services = registry.registrations.sorted { $0.key < $1.key }.map { name, registration -> Message in
      [
        .name: .string(name.text), .generation: .uint64(registration.generation),
        .pid: .int64(registration.pid), .since: .date(registration.since),
      ]
    }
    return [.ok: .bool(true), .services: .array(services)]
  }

  private var status: Message {
    [
      .ok: .bool(true), .broker: .string("swift"), .release: .string(release), .pid: .int64(identity.pid),
      .service: .string(identity.service), .version: .uint64(protocolVersion),
      .uptime: .uint64(clocks.uptime()), .peers: .uint64(UInt64(peers.count)),
      .services: .uint64(UInt64(registry.registrations.count)), .waiting: .uint64(UInt64(waiting.count)),
      .watchers: .uint64(UInt64(watchers.count)),
    ]
  }
}
