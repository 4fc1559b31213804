// What consumers and followers do where nobody blocks.

extension EngineStepper {
    /// Whether nobody has a role or waits for one.
    package var isIdle: Bool {
        pipeline.lock.with { pipeline.state.isIdle && pipeline.state.rotation == .none }
    }

    /// Whether records of a leader can be taken in now: those before them are, and when their epoch
    /// must begin first nobody has a role.
    package func canTake(_ batch: ChangeBatch) -> Bool {
        pipeline.lock.with {
            let state = pipeline.state
            guard state.queue.isEmpty, !state.isCommitTaken else { return false }
            return batch.records.epoch == pipeline.sequencer.epoch
                || state.isIdle && state.rotation == .none
        }
    }

    /// Whether nothing is being committed.
    package var isAtCommitBoundary: Bool { pipeline.lock.with { !pipeline.state.isCommitTaken } }

    /// Whether a caller can bring everything to disk himself, without waiting for others.
    package var canSyncAll: Bool {
        pipeline.lock.with {
            let state = pipeline.state
            return !state.isCommitTaken && !state.isAppendTaken && !state.isSyncTaken
                && state.rotation != .ready
        }
    }

    /// The last sequence that consumers of a horizon may see.
    package func feedLimit(_ horizon: AckPoint) -> UInt64 { pipeline.feedLimit(horizon) }

    /// Takes in as many records of a leader as make a group; those that are here already are passed
    /// over. See ``canTake(_:)``.
    ///
    /// - Returns: A write for each, and the last one's sequence; none when all of them are here.
    /// - Throws: As ``Engine/apply(_:ack:)-(_,_)``.
    package func submit(
        _ batch: ChangeBatch,
        ack: AckPoint
    ) throws(EngineError) -> (writes: [Write], end: UInt64) {
        precondition(canTake(batch), "nobody would make room")
        let (records, end) = try pipeline.admit(batch.records)
        guard !records.isEmpty else { return ([], end.sequence) }
        let tickets = pipeline.group(of: records, from: records.entries.startIndex)
        pipeline.lock.with { pipeline.state.queue += tickets }
        let last = records.entries[records.entries.startIndex + tickets.count - 1]
        return (tickets.map { Write($0, ack, of: records) }, last.head.sequence)
    }

    /// Takes in records of a leader if that can be done at once, whatever is in flight; see
    /// ``Engine/applyAtOnce(_:)``.
    ///
    /// - Returns: Whether they are in the log.
    /// - Throws: As ``Engine/apply(_:ack:)-(_,_)``.
    package func applyAtOnce(_ batch: ChangeBatch) throws(EngineError) -> Bool {
        try pipeline.applyAtOnce(batch.records)
    }

    /// A consumer that waits for more.
    package final class Wait {
        private let waiter: Waiter
        private let pipeline: CommitPipeline

        fileprivate init(_ waiter: Waiter, _ pipeline: CommitPipeline) {
            self.waiter = waiter
            self.pipeline = pipeline
        }

        /// Whether it was woken.
        package var isOver: Bool { pipeline.lock.with { waiter.isDone } }
    }

    /// Makes a consumer wait for what comes behind a sequence, as one that blocks does; `nil` when
    /// there is no need to, or no point.
    package func wait(after sequence: UInt64, _ horizon: AckPoint) -> Wait? {
        let waiter = Waiter(sequence: sequence + 1, point: horizon)
        return pipeline.lock.with {
            pipeline.enqueue(waiter) && !waiter.isDone ? Wait(waiter, pipeline) : nil
        }
    }
}

extension ChangeCursor {
    /// The records that come next, whole; `nil` when there are none now. The cursor has no filter.
    ///
    /// - Throws: As ``next(waits:)``.
    package mutating func nextBatch() throws(EngineError) -> ChangeBatch? {
        precondition(filter == .all, "a filtered batch lacks records")
        guard try next(), let batch else { return nil }
        let rest = batch.dropFirst(index - 1)
        index = batch.count
        position = rest.end
        return ChangeBatch(rest)
    }
}
