// swift-tools-version: 6.0

import PackageDescription

// The C sources stand in ffi/native, beside this package: CShim compiles each through a file of its own
// that includes it. They need blocks, and on Linux the headers of the libxpc that comes with them, which
// lie outside the package: hence unsafe flags, which the root package of a build may use.
let native = "\(Context.packageDirectory)/../ffi/native"

let package = Package(
  name: "xpc-shmem-agent",
  platforms: [.macOS(.v13)],
  products: [
    .executable(name: "xpc-shmem-agent", targets: ["Agent"])
  ],
  targets: [
    .target(name: "Broker"),
    .target(
      name: "CShim",
      cSettings: [
        .unsafeFlags(["-std=gnu17", "-fblocks", "-fvisibility=hidden"]),
        .unsafeFlags(["-I\(native)/linux/include"], .when(platforms: [.linux])),
        // The private libdispatch of the Linux libxpc must not answer for Swift's.
        .define("XPC_PRIVATE_DISPATCH", .when(platforms: [.linux])),
      ],
      linkerSettings: [
        .linkedLibrary("BlocksRuntime", .when(platforms: [.linux]))
      ]
    ),
    .executableTarget(name: "Agent", dependencies: ["Broker", "CShim"]),
    .testTarget(name: "BrokerTests", dependencies: ["Broker"]),
    .testTarget(name: "AgentTests", dependencies: ["Agent", "CShim"]),
  ],
  swiftLanguageModes: [.v6]
)
