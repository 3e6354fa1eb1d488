import Broker
import CAgent
import CShim

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#endif

@main
enum Main {
  /// How many seconds the agent waits, when it ends, until its last messages are sent.
  private static let flushTimeout: UInt32 = 2

  static func main() {
    do throws(UsageError) {
      switch try Command(CommandLine.arguments.dropFirst()) {
      case .version: write("xpc-shmem-agent \(release)\n", to: STDOUT_FILENO)
      case .help: write(Command.usage + "\n", to: STDOUT_FILENO)
      case .run(let settings): run(settings)
      }
    } catch {
      write("xpc-shmem-agent: \(error.message) (see --help)\n", to: STDERR_FILENO)
      end(.usage)
    }
  }

  private static func run(_ settings: Settings) -> Never {
    guard agent_hold_signals() == 0 else {
      Log.error("Cannot start: the signals cannot be blocked")
      end(.osError)
    }
    agent_raise_descriptor_limit()
    let stop: OpaquePointer
    do throws(Agent.StartError) {
      stop = try Agent.start(settings)
    } catch .requirement {
      let requirement = settings.requirement ?? ""
      Log.error("Cannot check the code-signing requirement \"\(requirement)\": \(whyNotRequiring)")
      end(.usage)
    } catch {
      Log.error("Cannot start: the system is out of memory or threads")
      end(.osError)
    }
    Log.notice("\(release) starts as \(settings.service), process \(ThisProcess.id)")

    var wasAsked = false
    while true {
      let signal = agent_wait_for_signal()
      guard signal > 0 else {
        Log.error("Cannot wait for signals: error \(-signal)")
        end(.osError)
      }
      if signal == SIGALRM {
        Log.notice("ends before all peers received their last messages")
        end(.success)
      }
      if !wasAsked {
        wasAsked = true
        alarm(flushTimeout)
        shim_link_cancel(stop)
      }
    }
  }

  private static var whyNotRequiring: String {
    #if canImport(Darwin)
      "it is malformed, or this macOS is older than 12. Correct it or leave out --requirement"
    #else
      "this system has no code signing. Leave out --requirement"
    #endif
  }
}
