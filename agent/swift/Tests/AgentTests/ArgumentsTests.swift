import Testing

@testable import Agent

@Suite("arguments")
struct ArgumentsTests {
  @Test("no arguments mean the default service and no requirement")
  func usual() throws {
    let settings = Settings(service: "io.jsr.xpc.shmem", requirement: nil)
    #expect(try Command([]) == .run(settings))
  }

  @Test(
    "a value follows its flag as the next argument or after an equals sign",
    arguments: [
      ["--service", "a.b", "--requirement", "anchor apple"],
      ["--service=a.b", "--requirement=anchor apple"],
      ["--service", "x", "--requirement=anchor apple", "--service", "a.b"],
    ])
  func values(arguments: [String]) throws {
    #expect(try Command(arguments) == .run(Settings(service: "a.b", requirement: "anchor apple")))
  }

  @Test("--version and --help ignore the arguments after them")
  func first() throws {
    #expect(try Command(["--version", "--nonsense"]) == .version)
    #expect(try Command(["--service", "a", "--help"]) == .help)
    #expect(try Command(["-h"]) == .help)
  }

  @Test(
    "the error names the argument that is wrong",
    arguments: [
      (["--nonsense"], "--nonsense"), (["service"], "service"), ([""], "\"\""),
      (["--service"], "--service"), (["--service="], "--service"), (["--service", "a b"], "a b"),
      (["--requirement"], "--requirement"), (["--version=1"], "--version=1"),
    ])
  func errors(arguments: [String], named: String) {
    do throws(UsageError) {
      let command = try Command(arguments)
      Issue.record("understood as \(command)")
    } catch {
      #expect(error.message.hasPrefix("Cannot "))
      #expect(error.message.contains(named))
    }
  }
}
