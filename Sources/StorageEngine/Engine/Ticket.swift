/// A write on its way through the pipeline.
///
/// Thread safety: the request is constant; `outcome` belongs to the holder of the commit role until
/// `isDone`, which is protected by the pipeline's lock, as the rest is.
final class Ticket: @unchecked Sendable {
    let ack: AckPoint
    /// Borrowed from the waiting writer, or from ``copy``.
    let operations: UnsafeRawBufferPointer
    let large: LargeBlock?
    let digest: UInt64
    /// Owns the operations of a writer that suspends.
    private let copy: ByteBuffer?

    /// Wakes the blocked writer; made when it has to wait.
    var condition: Condition?
    /// Resumes the suspended writer.
    var continuation: UnsafeContinuation<Void, Never>?
    var outcome: Outcome = .pending

    enum Outcome {
        case pending
        /// The write is in the history.
        case done(CommitPipeline.Result)
        case failed(EngineError)
    }

    /// Takes operations that stay valid until the outcome is known.
    init(_ write: PreparedWrite, ack: AckPoint) {
        self.ack = ack
        operations = write.operations
        large = write.large
        digest = write.digest
        copy = nil
    }

    /// Copies the operations: the writer suspends.
    init(copying write: PreparedWrite, ack: AckPoint) {
        self.ack = ack
        var copy = ByteBuffer(capacity: write.operations.count)
        copy.append(write.operations)
        operations = copy.bytes
        large = write.large
        digest = write.digest
        self.copy = consume copy
    }

    /// Whether the outcome is known.
    var isDone = false

    /// Bytes that the write adds to the log buffer.
    var size: Int { large?.bytes.count ?? operations.count }
}

/// What a writer prepares before it joins the pipeline: digest, and compression when it is large.
struct PreparedWrite {
    let operations: UnsafeRawBufferPointer
    let digest: UInt64
    let large: LargeBlock?

    init(_ operations: UnsafeRawBufferPointer) {
        self.operations = operations
        digest = LogHash.digest(operations)
        large = operations.count > LogFormat.largeSize ? LargeBlock(compressing: operations) : nil
    }
}

/// Somebody who waits for a sequence to reach a point.
///
/// Thread safety: protected by the pipeline's lock.
final class Waiter: @unchecked Sendable {
    let sequence: UInt64
    let point: AckPoint
    var condition: Condition?
    var continuation: UnsafeContinuation<Void, Never>?
    var isDone = false
    var failure: EngineError?

    init(sequence: UInt64, point: AckPoint) {
        self.sequence = sequence
        self.point = point
    }
}
