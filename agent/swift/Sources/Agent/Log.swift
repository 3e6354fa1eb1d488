#if canImport(Darwin)
  import Darwin
  import os
#elseif canImport(Glibc)
  import Glibc
#endif

/// Where the agent says what happened: one line at its start, its end, and when it refuses a peer.
enum Log {
  #if canImport(Darwin)
    private static let logger = Logger(subsystem: "io.jsr.xpc.shmem", category: "agent")
  #endif

  /// Tells of something expected.
  static func notice(_ text: String) {
    #if canImport(Darwin)
      logger.notice("\(text, privacy: .public)")
    #else
      write("xpc-shmem-agent: \(text)\n", to: STDERR_FILENO)
    #endif
  }

  /// Tells of what went wrong; on standard error also where there is a log, for who starts it by hand.
  static func error(_ text: String) {
    #if canImport(Darwin)
      logger.error("\(text, privacy: .public)")
    #endif
    write("xpc-shmem-agent: \(text)\n", to: STDERR_FILENO)
  }
}
