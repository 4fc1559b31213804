extension Engine {
    /// Where the history ends: the last write that is readable, with its log hash. Waits for a
    /// write that is being committed.
    ///
    /// - Throws: ``EngineError`` with code `readOnly`, `poisoned` or `closed`.
    public func position() throws(EngineError) -> Position {
        try writable().atCommitBoundary { $0 }
    }

    /// The writes behind a position, and those that come.
    ///
    /// - Parameters:
    ///   - position: Where the consumer is: it gets every write behind, and exactly those. With a
    ///     log hash the position must name a record of this very history.
    ///   - horizon: What a write must have reached before the consumer gets it. What was not on
    ///     disk may be gone after a power loss, and another write may take its sequence.
    ///   - filter: The keys that the consumer wants to hear of.
    /// - Returns: The changes, to be iterated over.
    /// - Throws: ``EngineError`` with code `trimmed` when the log does not go back that far,
    ///   `diverged` when the position is of another history, `ahead` when it is behind the end of
    ///   this one; `readOnly`, `corruption`, `io` or `closed`.
    public func changes(
        after position: Position = .start,
        upTo horizon: AckPoint = .disk,
        filter: KeyRange = .all
    ) async throws(EngineError) -> Changes {
        let pipeline = try writable()
        let threads = readThreads
        let opening = try await threads.run { () throws(EngineError) in
            try Changes.Opening(
                pipeline,
                after: position,
                horizon: horizon,
                filter: filter,
                threads: threads
            )
        }
        return Changes(opening)
    }

    /// The writes behind a position, and those that come, for a thread of the caller's own.
    ///
    /// - Throws: As ``changes(after:upTo:filter:)``.
    public func changeCursor(
        after position: Position = .start,
        upTo horizon: AckPoint = .disk,
        filter: KeyRange = .all
    ) throws(EngineError) -> ChangeCursor {
        let cursor = try FeedCursor.open(try writable(), after: position, horizon: horizon)
        return ChangeCursor(cursor, filter: filter)
    }
}
