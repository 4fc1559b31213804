extension Engine {
    /// Takes in writes of the leader that this store follows (``Options/follows``), with the same
    /// sequences, times and log hashes. Writes that are here already are passed over, so that a
    /// batch may be given again. Blocks the calling thread.
    ///
    /// - Parameters:
    ///   - batch: Consecutive writes, unfiltered.
    ///   - ack: What they have reached when this returns; at least the log.
    /// - Returns: The position of the last write here.
    /// - Throws: ``EngineError`` with code `gap` when writes are missing before these, `diverged`
    ///   when they are not of this store's history, `fenced` when their epoch is over;
    ///   `invalidArgument` when the store follows nobody, the batch is filtered or somebody else
    ///   applies; `indeterminate`, `noSpace`, `poisoned`, `readOnly` or `closed`.
    @discardableResult
    public func apply(_ batch: ChangeBatch, ack: AckPoint = .wal) throws(EngineError) -> Position {
        try follower(batch).apply(batch.records, ack: ack)
    }

    /// Takes in writes of the leader that this store follows; suspends meanwhile.
    ///
    /// - Throws: As the blocking form.
    @discardableResult
    public func apply(
        _ batch: ChangeBatch,
        ack: AckPoint = .wal
    ) async throws(EngineError) -> Position {
        let pipeline = try follower(batch)
        return try await pipeline.waitThreads.run { () throws(EngineError) in
            try pipeline.apply(batch.records, ack: ack)
        }
    }

    private func follower(_ batch: ChangeBatch) throws(EngineError) -> CommitPipeline {
        let pipeline = try writable()
        guard options.follows != nil else {
            throw .invalidArgument("only a store that follows a leader takes its records")
        }
        guard batch.filter == .all else {
            throw .invalidArgument("a filtered batch lacks records")
        }
        return pipeline
    }
}
