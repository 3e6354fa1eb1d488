#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#endif

/// The exit statuses of the agent, as sysexits.h numbers them.
enum ExitStatus: Int32 {
  case success = 0
  case usage = 64
  case unavailable = 69
  case osError = 71
}

/// The identity of this process.
enum ThisProcess {
  static var id: Int64 { Int64(getpid()) }
  static var user: UInt32 { geteuid() }
}

/// Ends the process.
func end(_ status: ExitStatus) -> Never { exit(status.rawValue) }

/// Writes text to a descriptor.
///
/// Ignores errors, because there is no place to report them.
func write(_ text: String, to descriptor: Int32) {
  var rest = Array(text.utf8)[...]
  while !rest.isEmpty {
    let written = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    guard written > 0 else { return }
    rest = rest.dropFirst(written)
  }
}
