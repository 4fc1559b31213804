// swift-tools-version:6.2
import PackageDescription

let features: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]
/// Debug builds, and so the tests, check exclusive access; release builds save the checks, which cost
/// 5 % of a put.
let engineSettings: [SwiftSetting] =
    features + [
        .enableExperimentalFeature("Lifetimes"),
        .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release)),
    ]
let clientSettings: [SwiftSetting] = features + [.strictMemorySafety()]

/// What only the command-line tools use; a client that writes `traits: []` never resolves it.
let tools: TargetDependencyCondition? = .when(traits: ["Tools"])
let argumentParser: Target.Dependency =
    .product(name: "ArgumentParser", package: "swift-argument-parser", condition: tools)

/// What only replication over the network uses.
let network: TargetDependencyCondition? = .when(traits: ["Replication"])
let nio: [Target.Dependency] = ["NIOCore", "NIOPosix"].map {
    .product(name: $0, package: "swift-nio", condition: network)
}
let tls: [Target.Dependency] = [
    .product(name: "NIOTLS", package: "swift-nio", condition: network),
    .product(name: "NIOSSL", package: "swift-nio-ssl", condition: network),
]

/// What a node's service uses besides.
let service: [Target.Dependency] = [
    .product(name: "NIOHTTP1", package: "swift-nio", condition: network),
    .product(name: "Configuration", package: "swift-configuration", condition: network),
    .product(name: "ServiceLifecycle", package: "swift-service-lifecycle", condition: network),
    .product(name: "UnixSignals", package: "swift-service-lifecycle", condition: network),
    .product(name: "SystemPackage", package: "swift-system", condition: network),
    .product(name: "Logging", package: "swift-log"),
]

let package = Package(
    name: "storage-engine",
    products: [
        .library(name: "StorageEngine", targets: ["StorageEngine"]),
        .library(name: "StorageEngineFoundation", targets: ["StorageEngineFoundation"]),
        .library(name: "Replication", targets: ["Replication"]),
        .library(name: "ReplicationTransport", targets: ["ReplicationTransport"]),
        .executable(name: "enginectl", targets: ["enginectl"]),
        .executable(name: "enginedump", targets: ["enginedump"]),
        .executable(name: "enginebench", targets: ["enginebench"]),
        .executable(name: "enginenode", targets: ["enginenode"]),
    ],
    traits: [
        .trait(name: "Tools", description: "The command-line tools and what they depend on."),
        .trait(name: "Replication", description: "What replication over the network depends on."),
        .default(enabledTraits: ["Tools", "Replication"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    ],
    targets: [
        .systemLibrary(
            name: "CLZ4",
            pkgConfig: "liblz4",
            providers: [.apt(["liblz4-dev"])]
        ),
        .systemLibrary(
            name: "CXXHash",
            pkgConfig: "libxxhash",
            providers: [.apt(["libxxhash-dev"])]
        ),
        .target(name: "CEngineSystem"),
        .target(
            name: "StorageEngine",
            dependencies: [
                "CLZ4", "CXXHash", "CEngineSystem", .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: engineSettings
        ),
        .target(
            name: "StorageEngineFoundation",
            dependencies: ["StorageEngine"],
            swiftSettings: clientSettings
        ),
        .target(
            name: "Replication",
            dependencies: ["StorageEngine"],
            swiftSettings: clientSettings
        ),
        .target(
            name: "ReplicationTransport",
            dependencies: ["StorageEngine", "Replication"] + nio + tls,
            swiftSettings: clientSettings
        ),
        .target(
            name: "NodeService",
            dependencies: [
                "StorageEngine", "Replication", "ReplicationTransport", "ToolSupport",
            ] + nio + tls + service,
            swiftSettings: clientSettings
        ),
        .executableTarget(
            name: "enginenode",
            dependencies: [
                "StorageEngine", "ReplicationTransport", "NodeService", "ToolSupport",
                argumentParser, .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: clientSettings
        ),
        .target(
            name: "ToolSupport",
            dependencies: [
                "StorageEngine", argumentParser,
                .product(name: "Logging", package: "swift-log", condition: tools),
            ],
            swiftSettings: clientSettings
        ),
        .executableTarget(
            name: "enginectl",
            dependencies: [
                "StorageEngine", "ToolSupport", argumentParser,
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: clientSettings
        ),
        .executableTarget(
            name: "enginedump",
            dependencies: ["StorageEngine", "ToolSupport", argumentParser],
            swiftSettings: clientSettings
        ),
        .executableTarget(
            name: "enginebench",
            dependencies: [
                "StorageEngine", "Replication", "ReplicationTransport", "ToolSupport",
                "CEngineSystem", argumentParser,
                .product(
                    name: "Histogram",
                    package: "hdrhistogram-swift",
                    condition: tools
                ),
            ],
            swiftSettings: clientSettings
        ),
        .executableTarget(
            name: "enginedrill",
            dependencies: [
                "StorageEngine", "ReplicationTransport", "NodeService", "ToolSupport",
                argumentParser,
            ] + nio,
            swiftSettings: clientSettings
        ),
        .executableTarget(
            name: "enginemicro",
            dependencies: ["StorageEngine", "CEngineSystem"],
            swiftSettings: engineSettings
        ),
        .target(
            name: "StorageEngineTestSupport",
            dependencies: ["StorageEngine", .product(name: "Logging", package: "swift-log")],
            path: "Tests/StorageEngineTestSupport",
            swiftSettings: engineSettings
        ),
        .executableTarget(
            name: "enginesim",
            dependencies: ["StorageEngine", "StorageEngineTestSupport"],
            swiftSettings: engineSettings
        ),
        .target(
            name: "ReplicationTestSupport",
            dependencies: ["StorageEngine", "StorageEngineTestSupport", "Replication"],
            path: "Tests/ReplicationTestSupport",
            swiftSettings: clientSettings
        ),
        .executableTarget(
            name: "replicationsim",
            dependencies: [
                "StorageEngine", "StorageEngineTestSupport", "Replication",
                "ReplicationTestSupport",
            ],
            swiftSettings: clientSettings
        ),
        .testTarget(
            name: "ReplicationTests",
            dependencies: ["StorageEngine", "Replication", "ReplicationTestSupport"],
            swiftSettings: clientSettings
        ),
        .testTarget(
            name: "TransportTests",
            dependencies: [
                "StorageEngine", "StorageEngineTestSupport", "Replication",
                "ReplicationTransport", "NodeService", "ToolSupport", "enginenode", "enginedrill",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOEmbedded", package: "swift-nio", condition: network),
            ] + nio + tls,
            swiftSettings: clientSettings
        ),
        .testTarget(
            name: "StorageEngineTests",
            dependencies: ["StorageEngine", "StorageEngineTestSupport", "StorageEngineFoundation"],
            swiftSettings: engineSettings
        ),
        .testTarget(
            name: "BenchTests",
            dependencies: ["enginebench"],
            swiftSettings: features
        ),
        .testTarget(
            name: "ToolTests",
            dependencies: ["StorageEngine", "ToolSupport", "enginectl", "enginedump"],
            swiftSettings: features
        ),
    ],
    swiftLanguageModes: [.v6]
)

// The fuzzers need libFuzzer, and what tests see of the engine: only `make fuzz` asks for them.
if Context.environment["FUZZ"] != nil {
    package.targets.append(
        .executableTarget(
            name: "enginefuzz",
            dependencies: [
                "StorageEngine", "StorageEngineTestSupport", "ToolSupport", "Replication",
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Tests/Fuzz",
            swiftSettings: engineSettings
        )
    )
}
