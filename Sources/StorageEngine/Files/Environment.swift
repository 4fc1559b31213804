/// What the engine needs from outside: files, time and randomness. Nothing else reads them.
package struct Environment: Sendable {
    package let fileSystem: any FileSystem
    package let time: any TimeSource
    /// 64 random bits a call.
    package let entropy: @Sendable () -> UInt64
    /// Whether the engine starts its own threads; a simulation steps their work instead.
    package let startsThreads: Bool

    package init(
        fileSystem: any FileSystem,
        time: any TimeSource,
        entropy: @escaping @Sendable () -> UInt64,
        startsThreads: Bool
    ) {
        self.fileSystem = fileSystem
        self.time = time
        self.entropy = entropy
        self.startsThreads = startsThreads
    }

    /// The system's files, clocks, randomness and threads.
    package static func system() -> Environment {
        Environment(
            fileSystem: PosixFileSystem(),
            time: SystemTime(),
            entropy: {
                var generator = SystemRandomNumberGenerator()
                return generator.next()
            },
            startsThreads: true
        )
    }

    func uniqueID() -> UniqueID { UniqueID(high: entropy(), low: entropy()) }
}
