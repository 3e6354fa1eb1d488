import Broker

/// What the command line asks for.
enum Command: Equatable {
  case run(Settings)
  case version
  case help
}

/// How the agent runs.
struct Settings: Equatable {
  /// The Mach service to vend.
  var service = "io.jsr.xpc.shmem"
  /// The code-signing requirement that peers have to meet, if any.
  var requirement: String?
}

/// A command line that cannot be followed.
struct UsageError: Error, Equatable {
  /// What is wrong with it.
  var message: String
}

extension Command {
  static let usage = """
    The broker of @xpc/shmem as a launch agent: apps register and find shared memory through it.

    Usage: xpc-shmem-agent [--service NAME] [--requirement STRING]

      --service NAME        the Mach service to vend (io.jsr.xpc.shmem)
      --requirement STRING  serve only peers that meet this code-signing requirement (macOS)
      --version             print the release
      --help                print this

    It is started by launchd on macOS and by socket activation on Linux, or there by hand. It ends on
    SIGTERM and SIGINT with status 0; 64: wrong usage; 69: the service cannot be had.
    """

  /// Reads the arguments after the program's name.
  ///
  /// `--flag VALUE` and `--flag=VALUE` are the same.
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
            message: "Cannot vend \"\(value)\": a service name is 1 to 128 of A-Z a-z 0-9 . _ -")
        }
      default:
        throw UsageError(message: "Cannot understand the argument \"\(argument)\"")
      }
    }
    self = .run(settings)
  }
}
