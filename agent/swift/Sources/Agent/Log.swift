#if canImport(Darwin)
  import Darwin
  import os
#elseif canImport(Glibc)
  import Glibc
#endif

/// The agent's log.
///
/// The agent writes a line when it starts, when it ends and when it refuses a peer.
enum Log {
  #if canImport(Darwin)
    private static let logger = Logger(subsystem: "io.jsr.xpc.shmem", category: "agent")
  #endif

  /// Logs an expected event.
  static func notice(_ text: String) {
    #if canImport(Darwin)
      logger.notice("\(text, privacy: .public)")
    #else
      write("xpc-shmem-agent: \(text)\n", to: STDERR_FILENO)
    #endif
  }

  /// Logs a failure.
  ///
  /// Writes it to standard error too, for a user who starts the agent by hand.
  static func error(_ text: String) {
    #if canImport(Darwin)
      logger.error("\(text, privacy: .public)")
    #endif
    write("xpc-shmem-agent: \(text)\n", to: STDERR_FILENO)
  }
}
