// swift-tools-version: 6.0

import PackageDescription

// The C targets name the sources in ffi/native by their path. On a Mac the shim compiles against Apple's libxpc. On
// Linux the package also compiles the project's own libxpc and uses its headers. The condition is about the host
// that reads the manifest, so this package does not cross-compile between the two.
// There are no unsafe flags: SwiftPM refuses a dependency that has them. It passes -fblocks itself.
#if os(Linux)
  let shimSources = ["shim", "linux"]
  // The Swift toolchain has a blocks runtime. CShim links it below.
  let shimExcludes = ["linux/blocks_runtime.c"]
#else
  let shimSources = ["shim"]
  let shimExcludes: [String] = []
#endif

/// The settings of a C target that includes the headers of libxpc.
///
/// On a Mac these headers are part of the system.
func xpcSettings(headers: String) -> [CSetting] {
  [
    .headerSearchPath(headers, .when(platforms: [.linux])),
    // Renames the dispatch functions of the Linux libxpc, so that they do not replace those of Swift.
    .define("XPC_PRIVATE_DISPATCH", .when(platforms: [.linux])),
  ]
}

let package = Package(
  name: "xpc-shmem",
  platforms: [.macOS(.v13)],
  products: [
    .executable(name: "xpc-shmem-agent", targets: ["Agent"])
  ],
  targets: [
    .target(
      name: "CShim",
      path: "ffi/native",
      exclude: shimExcludes,
      sources: shimSources,
      publicHeadersPath: "include",
      cSettings: xpcSettings(headers: "linux/include"),
      linkerSettings: [
        .linkedLibrary("BlocksRuntime", .when(platforms: [.linux]))
      ]
    ),
    .target(name: "Broker", path: "agent/swift/Sources/Broker"),
    .target(
      name: "CAgent",
      dependencies: ["CShim"],
      path: "agent/swift/Sources/CAgent",
      cSettings: xpcSettings(headers: "../../../../ffi/native/linux/include")
    ),
    .executableTarget(
      name: "Agent",
      dependencies: ["Broker", "CAgent", "CShim"],
      path: "agent/swift/Sources/Agent"
    ),
    .testTarget(name: "BrokerTests", dependencies: ["Broker"], path: "agent/swift/Tests/BrokerTests"),
    .testTarget(
      name: "AgentTests",
      dependencies: ["Agent", "Broker", "CAgent"],
      path: "agent/swift/Tests/AgentTests"
    ),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .gnu11
)
