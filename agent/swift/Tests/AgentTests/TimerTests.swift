import CShim
import Testing

@testable import Agent

@Suite("timer")
struct TimerTests {
  /// Waits for events and returns the kinds of all of them.
  private func kinds(of queue: OpaquePointer) -> [UInt32] {
    var events = [shim_event](repeating: shim_event(), count: 8)
    guard shim_queue_wait(queue) else { return [] }
    let count = Int(shim_queue_drain(queue, &events, UInt32(events.count)))
    return events.prefix(count).map(\.kind)
  }

  @Test("a timer queues one event each time it runs, also if it is started twice")
  func events() throws {
    let queue = try #require(shim_queue_create(nil))
    let timer = Timer(queue: queue)
    for _ in 1...3 {
      timer.start(milliseconds: 1)
      timer.start(milliseconds: 0)
      #expect(kinds(of: queue) == [SHIM_EVENT_WAIT.rawValue])
      timer.ended()
    }
    shim_queue_finish(queue)
    #expect(kinds(of: queue) == [])
    shim_queue_release(queue)
  }
}
