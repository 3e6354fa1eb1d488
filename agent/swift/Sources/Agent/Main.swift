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
  /// How long the peers have to take what was sent to them when the agent ends, in seconds.
  private static let patience: UInt32 = 2

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
    agent_hold_signals()
    agent_raise_descriptor_limit()
    let stop: OpaquePointer
    do throws(Agent.StartError) {
      stop = try Agent.start(settings)
    } catch .requirement {
      Log.error("Cannot check the code-signing requirement: \(whyNotRequiring)")
      end(.usage)
    } catch {
      Log.error("Cannot start: no memory or thread can be had")
      end(.osError)
    }
    Log.notice("\(release) starts as \(settings.service), process \(ThisProcess.id)")

    var wasAsked = false
    while true {
      let signal = agent_wait_for_signal()
      if signal == SIGALRM {
        Log.notice("ends, though not all peers took what was sent to them")
        end(.success)
      }
      if !wasAsked {
        wasAsked = true
        alarm(patience)
        shim_link_cancel(stop)
      }
    }
  }

  private static var whyNotRequiring: String {
    #if canImport(Darwin)
      "it is malformed, or this macOS is older than 12"
    #else
      "this system has none"
    #endif
  }
}
