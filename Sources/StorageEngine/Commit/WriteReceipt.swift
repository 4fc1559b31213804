/// What a write that was acknowledged can reach further.
public enum ReceiptPoint: UInt8, Sendable, Hashable, CaseIterable {
    /// See ``AckPoint/memory``.
    case memory
    /// See ``AckPoint/wal``.
    case wal
    /// See ``AckPoint/disk``.
    case disk
    /// Flushed to a segment that the manifest names. The log survives all that a segment survives:
    /// nothing is safer than at ``disk``.
    case segment
}

/// Proof of a write: where it is in the history, and what it had reached when it was acknowledged.
public struct WriteReceipt: Sendable {
    /// The write's place in the history.
    public let position: Position
    /// What was reached when the receipt was given.
    public let reached: AckPoint
    private let pipeline: CommitPipeline

    init(position: Position, reached: AckPoint, pipeline: CommitPipeline) {
        self.position = position
        self.reached = reached
        self.pipeline = pipeline
    }

    /// Waits until the write has reached a point; blocks the calling thread. Waiting for
    /// ``ReceiptPoint/segment`` asks for a flush.
    ///
    /// - Throws: ``EngineError`` with code `indeterminate` when that can no longer be known before
    ///   a restart, `noSpace` when the disk is full (the write stays buffered and is tried again),
    ///   `io` when a segment cannot be written, or `closed`.
    public func reached(_ point: ReceiptPoint) throws(EngineError) {
        guard let ack = AckPoint(rawValue: point.rawValue) else {
            return try pipeline.flush(through: position.sequence)
        }
        guard ack > reached else { return }
        try pipeline.wait(for: position.sequence, ack)
    }

    /// Waits until the write has reached a point; suspends, and never blocks a thread.
    ///
    /// - Throws: As the blocking form.
    public func reached(_ point: ReceiptPoint) async throws(EngineError) {
        guard let ack = AckPoint(rawValue: point.rawValue) else {
            let (pipeline, sequence) = (pipeline, position.sequence)
            return try await pipeline.waitThreads.run { () throws(EngineError) in
                try pipeline.flush(through: sequence)
            }
        }
        guard ack > reached else { return }
        try await pipeline.wait(for: position.sequence, ack)
    }
}
