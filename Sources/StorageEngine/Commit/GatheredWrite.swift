/// A write that is committed together with others, see ``Engine/commit(_:)``.
///
/// Thread safety: its outcome is known, to everybody, once they were committed.
package struct GatheredWrite: Sendable {
    let ticket: Ticket
    let start: UInt64

    /// Copies a batch.
    ///
    /// - Parameters:
    ///   - batch: The operations; not empty.
    ///   - sequence: The write's, when the store's clients choose them.
    ///   - ack: What it must have reached to be committed: memory or the log.
    ///   - start: Since when it is counted how long it takes; the store's monotonic clock.
    package init(
        _ batch: borrowing WriteBatch,
        sequence: UInt64? = nil,
        ack: AckPoint,
        since start: UInt64
    ) {
        precondition(!batch.isEmpty && ack <= .wal)
        self.start = start
        ticket = batch.withOperations {
            Ticket(copying: PreparedWrite($0, wanted: sequence), ack: ack)
        }
    }

    /// Where the write is in the history; asked once it was committed.
    ///
    /// - Throws: ``EngineError``, as ``Engine/write(_:ack:)-(borrowing WriteBatch,_)``.
    package var position: Position {
        get throws(EngineError) { Position(try ticket.outcome.result()) }
    }
}

extension Position {
    init(_ result: CommitPipeline.Result) {
        self.init(epoch: result.epoch, sequence: result.sequence, logHash: result.logHash)
    }
}
