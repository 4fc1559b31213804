internal import Synchronization

/// A write on its way through the pipeline.
///
/// Thread safety: the request is constant; `outcome` belongs to the holder of the commit role until
/// `isDone`, which is protected by the pipeline's lock, as the rest is.
final class Ticket: @unchecked Sendable {
    private(set) var ack = AckPoint.memory
    /// Borrowed from the waiting writer, or from ``copy``.
    private(set) var operations = UnsafeRawBufferPointer(start: nil, count: 0)
    private(set) var large: LargeBlock?
    private(set) var digest: UInt64 = 0
    private(set) var kind = RecordKind.data
    /// The sequence that the caller wants.
    private(set) var wanted: UInt64?
    /// The record's place in the history, when a leader has given it one.
    private(set) var given: GivenRecord?
    /// Owns the operations of a writer that suspends.
    private let copy: ByteBuffer?

    /// Wakes the blocked writer; made when it has to wait for the first time.
    var condition: Condition?
    /// Whether the writer waits for ``condition``.
    var isBlocked = false
    /// Resumes the suspended writer.
    var continuation: UnsafeContinuation<Void, Never>?
    /// Whether the writer has suspended, so that somebody else must commit the write.
    var isSuspended: Bool { continuation != nil }
    var outcome: Outcome = .pending
    /// Whether the outcome is known; set under the lock, looked at by a spinning writer without it.
    private let done = Atomic(false)

    enum Outcome {
        case pending
        /// The write is in the history.
        case done(CommitPipeline.Result)
        case failed(EngineError)
    }

    /// A ticket to be ``reset(_:ack:)``.
    init() { copy = nil }

    /// Copies the operations: the writer suspends.
    init(copying write: PreparedWrite, ack: AckPoint) {
        var copy = ByteBuffer(capacity: write.operations.count)
        copy.append(write.operations)
        operations = copy.bytes
        self.copy = consume copy
        self.ack = ack
        large = write.large
        digest = write.digest
        kind = write.kind
        wanted = write.wanted
    }

    /// Takes operations that stay valid until the outcome is known.
    func reset(_ write: PreparedWrite, ack: AckPoint, given: GivenRecord? = nil) {
        self.ack = ack
        self.given = given
        operations = write.operations
        large = write.large
        digest = write.digest
        kind = write.kind
        wanted = write.wanted
        outcome = .pending
        isDone = false
    }

    var isDone: Bool {
        get { done.load(ordering: .acquiring) }
        set { done.store(newValue, ordering: .releasing) }
    }

    /// Lets go of the operations, so that a spare ticket holds no memory.
    func forget() {
        operations = UnsafeRawBufferPointer(start: nil, count: 0)
        large = nil
    }

    /// Bytes that the write adds to the log buffer; never 0, as a no-op is a record as well.
    var size: Int { max(1, large?.bytes.count ?? operations.count) }
}

/// What a writer prepares before it joins the pipeline: digest, and compression when it is large.
struct PreparedWrite {
    let operations: UnsafeRawBufferPointer
    let digest: UInt64
    let large: LargeBlock?
    let kind: RecordKind
    let wanted: UInt64?

    init(
        _ operations: UnsafeRawBufferPointer,
        kind: RecordKind = .data,
        wanted: UInt64? = nil
    ) {
        self.wanted = wanted
        self.operations = operations
        self.kind = kind
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
