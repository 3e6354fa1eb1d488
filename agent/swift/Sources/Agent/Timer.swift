import CShim

/// Queues one event of the kind SHIM_EVENT_WAIT after some time.
///
/// The shim's wait for a change of a revision is the timer: nobody changes this revision, so the wait ends when
/// its time is over. The thread that drains the queue uses the timer.
final class Timer {
  private let queue: OpaquePointer
  // The words of a revision and of its only waiter. They are never freed, because a wait may outlive this object.
  private let revision = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
  private let parked = UnsafeMutablePointer<UInt32>.allocate(capacity: 1)
  private var isRunning = false

  /// Creates a timer that does not run.
  init(queue: OpaquePointer) {
    self.queue = queue
    revision.initialize(to: 0)
    parked.initialize(to: 0)
  }

  /// Starts the timer, unless it runs.
  ///
  /// If the system has no thread for it, it stays stopped. The agent tries again after the next events.
  func start(milliseconds: UInt64) {
    guard !isRunning else { return }
    isRunning = shim_revision_wait_async(queue, 0, revision, parked, 0, Double(milliseconds)) == 0
  }

  /// Notes that the event of the timer has come.
  func ended() { isRunning = false }
}
