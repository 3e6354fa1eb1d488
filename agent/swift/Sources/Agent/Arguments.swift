import Broker

/// What the command line asks the program to do.
enum Command: Equatable {
  case run(Settings)
  case version
  case help
}

/// How the agent runs.
struct Settings: Equatable {
  /// The Mach service to vend.
  var service = "io.jsr.xpc.shmem"
  /// The code-signing requirement that peers must meet, if any.
  var requirement: String?
}

/// An error in the command line.
struct UsageError: Error, Equatable {
  /// What is wrong, for the user.
  var message: String
}

extension Command {
  static let usage = """
    The broker of @xpc/shmem as a launch agent. Apps register and find services through it.

    Usage: xpc-shmem-agent [--service NAME] [--requirement STRING]

      --service NAME        the Mach service to vend (io.jsr.xpc.shmem)
      --requirement STRING  serve only peers that meet this code-signing requirement (macOS)
      --version             print the release
      --help                print this

    On macOS launchd starts it. On Linux socket activation starts it, or you do.
    Exit status: 0 after SIGTERM or SIGINT, 64 after wrong usage, 69 if the service is not available, 71 if
    the system is out of memory or threads.
    """

  /// Reads the arguments after the program's name.
  ///
  /// `--flag VALUE` and `--flag=VALUE` mean the same.
  init(_ arguments: some Sequence<String>) throws(UsageError) {
    var settings = Settings()
    var rest = Array(arguments)[...]
    while let argument = rest.popFirst() {
      let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let flag = String(parts[0])
      switch (flag, parts.count) {
      case ("--version", 1):
        self = .version
        return
      case ("--help", 1), ("-h", 1):
        self = .help
        return
      case ("--service", _), ("--requirement", _):
        guard let value = parts.count == 2 ? String(parts[1]) : rest.popFirst(), !value.isEmpty else {
          throw UsageError(message: "Cannot read the arguments: \(flag) needs a value")
        }
        if flag == "--requirement" {
          settings.requirement = value
        } else if Name(value) != nil {
          settings.service = value
        } else {
          throw UsageError(
            message: "Cannot vend \"\(value)\": use a name of 1 to 128 characters of A-Z a-z 0-9 . _ -")
        }
      default:
        throw UsageError(message: "Cannot understand the argument \"\(argument)\"")
      }
    }
    self = .run(settings)
  }
}
