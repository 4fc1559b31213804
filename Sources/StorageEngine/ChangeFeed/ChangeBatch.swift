/// A few consecutive writes of a history, as a consumer of changes gets them.
public struct ChangeBatch: Sendable {
    package let records: RecordBatch
    /// The keys that the consumer wants.
    let filter: KeyRange
    /// Where the consumer is once it has taken the batch in: it has seen everything up to there.
    /// Without a filter that is the last record's position.
    public let position: Position

    init(_ records: RecordBatch, filter: KeyRange = .all) {
        self.records = records
        self.filter = filter
        position = records.end
    }

    /// Calls a closure with each record, in order. With a filter, records that touch none of its
    /// keys are left out; the batch then only says how far the consumer has come.
    public func forEach<E: Error>(_ body: (ChangeRecord) throws(E) -> Void) throws(E) {
        for entry in records.entries {
            let record = ChangeRecord(entry, in: records, filter: filter)
            if record.isWanted { try body(record) }
        }
    }
}

/// One write: all operations of a batch that was committed.
public struct ChangeRecord: Sendable {
    private let entry: RecordBatch.Entry
    private let batch: RecordBatch
    private let filter: KeyRange

    init(_ entry: RecordBatch.Entry, in batch: RecordBatch, filter: KeyRange) {
        self.entry = entry
        self.batch = batch
        self.filter = filter
    }

    /// The write's place in the history; with its log hash, which names the history up to here.
    public var position: Position {
        Position(epoch: batch.epoch, sequence: entry.head.sequence, logHash: entry.hash)
    }

    /// The sequence of the write before it. Sequences ascend, and may have gaps; a consumer has
    /// missed nothing when this is at most the last sequence that it has seen.
    public var previousSequence: UInt64 { entry.head.previousSequence }

    /// When the leader took the write, in milliseconds since 1970; it never goes down.
    public var milliseconds: UInt64 { entry.head.stamp >> 16 }

    /// Whether the record touches a key that the consumer wants.
    var isWanted: Bool {
        guard filter != .all else { return true }
        var isWanted = false
        forEachOperation { _, _, _ in isWanted = true }
        return isWanted
    }

    /// What an operation does.
    @nonexhaustive
    public enum Kind: Sendable, Hashable {
        /// Sets the value of the key.
        case put
        /// Removes the key.
        case delete
        /// Removes all keys from the key on that are below the value; all, when that is empty.
        case deleteRange
    }

    /// Calls a closure with each operation: its kind, its key, and its value. Their order means
    /// nothing: a key occurs once, and a range delete removes only what is older than the record.
    /// The spans are borrowed until the closure returns.
    public func forEachOperation(
        _ body: (Kind, _ key: Span<UInt8>, _ value: Span<UInt8>) -> Void
    ) {
        batch.withOperations(of: entry) { bytes in
            var reader = OperationReader(bytes)
            do throws(DecodingFailure) {
                while let operation = try reader.next() {
                    guard filter.touches(operation) else { continue }
                    let value = operation.upper ?? operation.value
                    body(
                        Kind(operation.kind),
                        Span(_unsafeElements: operation.key.bindMemory(to: UInt8.self)),
                        Span(_unsafeElements: value.bindMemory(to: UInt8.self))
                    )
                }
            } catch {
                // Whoever put the record into the feed has decoded it, or verified its hash.
                preconditionFailure("a record of the log decodes: \(error.reason)")
            }
        }
    }
}

extension ChangeRecord.Kind {
    init(_ kind: OperationKind) {
        switch kind {
        case .put: self = .put
        case .delete: self = .delete
        case .rangeDelete: self = .deleteRange
        }
    }
}

extension KeyRange {
    /// Whether an operation changes a key of the range.
    func touches(_ operation: Operation) -> Bool {
        guard self != .all else { return true }
        let isBelowUpper = upper?.withUnsafeBytes { operation.key.precedes($0) } ?? true
        guard isBelowUpper else { return false }
        return lower.withUnsafeBytes { lower in
            guard operation.kind == .rangeDelete else { return !operation.key.precedes(lower) }
            return operation.upper.map { lower.precedes($0) } ?? true
        }
    }
}
