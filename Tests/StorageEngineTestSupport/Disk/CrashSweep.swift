/// Crashes a disk at every position of its trace, one after the other, each in another way: nothing
/// that was not synced survives, all of it does, sizes without bytes, the first changes, single
/// sectors.
///
/// Thread safety: none; a value.
package struct CrashSweep {
    /// A crash that is being looked at.
    package struct Crash {
        /// How many operations were done before.
        package let position: Int
        package let policy: CrashPolicy
        private let history: SimulatedHistory
        private let seed: UInt64

        fileprivate init(_ history: SimulatedHistory, _ policy: CrashPolicy, seed: UInt64) {
            position = history.position
            self.policy = policy
            self.history = history
            self.seed = seed
        }

        /// A new file system with what survived: the same each time.
        package var image: SimulatedFileSystem {
            var generator = SeededGenerator(seed: seed &+ UInt64(position))
            return history.crashed(policy, using: &generator)
        }

        /// For the failure of a test.
        package var text: String { "position \(position), \(policy)" }
    }

    private let history: SimulatedHistory
    private let start: Int
    private let seed: UInt64
    private let fixed: [CrashPolicy]?

    /// A sweep from a position of the trace to its end.
    ///
    /// - Parameters:
    ///   - fileSystem: What wrote to it must have ended.
    ///   - start: The first position.
    ///   - seed: For policies that leave something to chance.
    ///   - policies: What survives, in turn; the ways above without it.
    package init(
        _ fileSystem: SimulatedFileSystem,
        from start: Int,
        seed: UInt64,
        policies: [CrashPolicy]? = nil
    ) {
        history = fileSystem.history()
        self.start = start
        self.seed = seed
        fixed = policies
    }

    /// Looks at each crash.
    package func forEach(_ body: (Crash) throws -> Void) rethrows {
        var history = history
        for position in start...history.end {
            history.advance(to: position)
            let policies =
                fixed ?? [
                    .none, .all, .sizesOnly, .prefix(max(1, history.pendingCount / 2)),
                    .sectors(keep: 0.5),
                ]
            let policy = policies[position % policies.count]
            try body(Crash(history, policy, seed: seed))
        }
    }
}
