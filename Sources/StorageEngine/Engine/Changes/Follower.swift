/// Keeps a store in step with a leader's: the same records, with the same sequences, times and log
/// hashes. The store was opened with ``Engine/Options/follows``.
///
/// Thread safety: every method may be called from any thread or task; one at a time follows.
public final class Follower: Sendable {
    private let engine: Engine

    /// A follower that keeps a store.
    ///
    /// - Throws: ``EngineError`` with code `invalidArgument` when the store follows nobody.
    public init(_ engine: Engine) throws(EngineError) {
        guard engine.options.follows != nil else {
            throw .invalidArgument("the store was not opened to follow a leader")
        }
        self.engine = engine
    }

    /// Takes in what a leader in this process has and will write, until the task is cancelled.
    ///
    /// It starts behind the last record here, which must be one of the leader's.
    ///
    /// - Parameters:
    ///   - leader: The store to follow.
    ///   - horizon: What a write must have reached there before it is taken in here.
    ///   - ack: What it reaches here before the next is taken in.
    /// - Throws: ``EngineError`` with code `wrongStore` when the leader has another history;
    ///   `trimmed` when its log does not go back to the last record here, so that a copy of it must
    ///   be made anew; `diverged` or `ahead` when that record is not one of the leader's: see
    ///   ``Engine/cutBack(at:to:options:)``; what ``Engine/apply(_:ack:)-(_,_)`` throws; `closed`
    ///   when either store is closed; `CancellationError`.
    public func follow(
        _ leader: Engine,
        upTo horizon: AckPoint = .disk,
        ack: AckPoint = .wal
    ) async throws {
        try checkHistory(leader.historyID)
        let changes = try await leader.changes(after: engine.position(), upTo: horizon)
        for try await batch in changes { try await engine.apply(batch, ack: ack) }
    }

    /// Takes in what another process writes to a store's directory, from its log files, until the
    /// task is cancelled. Records are taken in once they are proven to be on disk.
    ///
    /// The log must be kept for long enough, see ``Engine/Options/retainedLogSize``.
    ///
    /// - Parameters:
    ///   - path: The directory of the store to follow.
    ///   - ack: What a write reaches here before the next is taken in.
    /// - Throws: As ``follow(_:upTo:ack:)``; `notAStore`, `corruption`, `logGap`,
    ///   `unsupportedFormat` or `io` when the log cannot be read.
    public func follow(logOf path: String, ack: AckPoint = .wal) async throws {
        let threads = engine.readThreads
        let log = try await threads.run { () throws(EngineError) in
            try LogDirectory(path: path, in: PosixFileSystem())
        }
        try checkHistory(log.historyID)
        let position = try engine.position()
        let opening = try await threads.run { () throws(EngineError) in
            try Changes.Opening(
                log,
                after: position,
                horizon: .disk,
                filter: .all,
                threads: threads
            )
        }
        for try await batch in Changes(opening) { try await engine.apply(batch, ack: ack) }
    }

    private func checkHistory(_ other: UniqueID) throws(EngineError) {
        guard other == engine.historyID else {
            throw EngineError(
                .wrongStore,
                "following a leader: it has history \(other), this store \(engine.historyID)"
            )
        }
    }
}
