extension Engine {
    // MARK: - Flush

    /// Waits until everything written so far is in segments; blocks the calling thread.
    ///
    /// Nothing is safer afterwards: what is synced to the log survives as well. The log that it was
    /// read from at an open is shorter then.
    ///
    /// - Throws: ``EngineError`` with code `noSpace` or `io` when segments cannot be written,
    ///   `indeterminate` or `poisoned` when the log failed, `readOnly` or `closed`.
    public func flush() throws(EngineError) {
        let pipeline = try writable()
        try pipeline.flush(through: try pipeline.lastPosition().sequence)
    }

    /// Waits until everything written so far is in segments; suspends meanwhile.
    ///
    /// - Throws: As the blocking form.
    public func flush() async throws(EngineError) {
        let pipeline = try writable()
        let sequence = try pipeline.lastPosition().sequence
        try await pipeline.waitThreads.run { () throws(EngineError) in
            try pipeline.flush(through: sequence)
        }
    }

    // MARK: - Compaction

    /// Compacts what touches a range of keys down to the deepest level that has segments; blocks
    /// the calling thread. What is still in memory is flushed before.
    ///
    /// Space that deleted and overwritten values took is given back, but for what snapshots see.
    ///
    /// - Throws: ``EngineError`` with code `corruption`, `io` or `noSpace` when a compaction fails;
    ///   the store is as it was then. `readOnly` or `closed`.
    public func compact(_ range: KeyRange = .all) throws(EngineError) {
        let pipeline = try writable()
        try pipeline.flush(through: try pipeline.lastPosition().sequence)
        try pipeline.maintenance.compact(range)
    }

    /// Compacts what touches a range of keys; suspends meanwhile.
    ///
    /// - Throws: As the blocking form.
    public func compact(_ range: KeyRange = .all) async throws(EngineError) {
        // Not on a read thread: lookups wait for those.
        try await writable().waitThreads.run { [self] () throws(EngineError) in
            try compact(range)
        }
    }

    /// Waits until nothing is left to flush of sealed indexes, and to compact; for measurements.
    package func waitForCompactions() throws(EngineError) { try writable().maintenance.waitIdle() }

    /// Keeps compactions from starting until ``resumeCompactions()`` was called as often; flushes
    /// go on, and so do compactions that were asked for. Writers are held when too much piles up.
    ///
    /// - Throws: ``EngineError`` with code `readOnly` or `closed`.
    public func pauseCompactions() throws(EngineError) {
        try writable().maintenance.pauseCompactions()
    }

    /// Ends one ``pauseCompactions()``.
    ///
    /// - Throws: ``EngineError`` with code `readOnly`, `closed`, or `invalidArgument` when
    ///   compactions are not paused.
    public func resumeCompactions() throws(EngineError) {
        guard try writable().maintenance.resumeCompactions() else {
            throw .invalidArgument("compactions are not paused")
        }
    }

    // MARK: - Inspection

    /// What happens in the engine from now on: flushes, compactions, stalls, failures. The stream
    /// ends when the engine is closed; a read-only engine has none. A listener that is more than
    /// 1,000 events behind loses the oldest ones.
    public var events: AsyncStream<Event> {
        pipeline?.maintenance.events.listen() ?? AsyncStream { $0.finish() }
    }

    /// About how many bytes of segments hold the keys of a range; what is in memory is left out.
    ///
    /// Only indexes of segments are read, and of those at most two a level.
    ///
    /// - Throws: ``EngineError`` with code `corruption`, `io` or `closed`.
    public func approximateSize(of range: KeyRange) throws(EngineError) -> UInt64 {
        try checkOpen()
        var size: UInt64 = 0
        for segment in readState.view.version.segments where segment.info.touches(range) {
            size += try segment.approximateSize(of: range)
        }
        return size
    }
}
