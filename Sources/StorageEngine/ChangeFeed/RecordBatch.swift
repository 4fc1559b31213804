/// Consecutive records of one epoch, as they stand in the log: what feeds hand out, packs carry and
/// followers apply.
///
/// Thread safety: immutable once it was handed out.
package struct RecordBatch: Sendable {
    package struct Entry: Sendable {
        package let head: RecordHead
        /// The log hash with the record.
        package let hash: UInt64
        fileprivate let start: Int
        fileprivate let size: Int
    }

    private let storage: Storage
    /// Which of the stored records belong to the batch.
    private let range: Range<Int>

    /// What batches of the same records share.
    ///
    /// Thread safety: belongs to its builder until that has finished; immutable from then on.
    fileprivate final class Storage: @unchecked Sendable {
        let epoch: Epoch
        let previousSequence, hashBefore: UInt64
        var entries: [Entry] = []
        var operations = ByteBuffer(capacity: 4096)

        init(epoch: Epoch, previousSequence: UInt64, hashBefore: UInt64) {
            self.epoch = epoch
            self.previousSequence = previousSequence
            self.hashBefore = hashBefore
        }
    }

    package var epoch: Epoch { storage.epoch }
    package var entries: ArraySlice<Entry> { storage.entries[range] }
    package var count: Int { range.count }
    package var isEmpty: Bool { range.isEmpty }

    /// The last sequence before the first record.
    package var previousSequence: UInt64 {
        isEmpty ? storage.previousSequence : storage.entries[range.lowerBound].head.previousSequence
    }

    /// The log hash before the first record; at the start of an epoch that of its beginning.
    package var hashBefore: UInt64 {
        range.lowerBound == 0 ? storage.hashBefore : storage.entries[range.lowerBound - 1].hash
    }

    /// The last record's position; where the batch begins when it is empty.
    package var end: Position {
        guard let last = entries.last else {
            return Position(epoch: epoch, sequence: previousSequence, logHash: hashBefore)
        }
        return Position(epoch: epoch, sequence: last.head.sequence, logHash: last.hash)
    }

    /// The bytes of all operations.
    package var size: Int { entries.reduce(0) { $0 + $1.size } }

    /// Calls a closure with a record's operations, which are borrowed until it returns.
    package func withOperations<R, E: Error>(
        of entry: Entry,
        _ body: (UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        try body(
            UnsafeRawBufferPointer(
                start: storage.operations.base + entry.start,
                count: entry.size
            )
        )
    }

    /// The records up to a sequence.
    package func prefix(through sequence: UInt64) -> RecordBatch {
        let count = entries.prefix { $0.head.sequence <= sequence }.count
        return RecordBatch(storage: storage, range: range.prefix(count))
    }

    /// The first records, with at most so many bytes of operations, but at least one.
    package func prefix(sizeMax: Int) -> RecordBatch {
        var size = 0
        let count = entries.prefix { entry in
            size += entry.size
            return size <= sizeMax
        }.count
        return RecordBatch(storage: storage, range: range.prefix(max(count, 1)))
    }

    /// The records behind the first ones.
    package func dropFirst(_ count: Int) -> RecordBatch {
        RecordBatch(storage: storage, range: range.dropFirst(count))
    }

    private init(storage: Storage, range: Range<Int>) {
        self.storage = storage
        self.range = range
    }
}

extension RecordBatch {
    /// Collects the records of a batch.
    ///
    /// Thread safety: none.
    package struct Builder: ~Copyable {
        private let storage: Storage

        /// A batch behind a record of an epoch, or behind the beginning of the epoch.
        package init(epoch: Epoch, previousSequence: UInt64, hashBefore: UInt64) {
            storage = Storage(
                epoch: epoch,
                previousSequence: previousSequence,
                hashBefore: hashBefore
            )
        }

        package var isEmpty: Bool { storage.entries.isEmpty }
        /// The bytes of the operations so far.
        package var size: Int { storage.operations.count }

        /// Takes in the next record, whose log hash is `hash`.
        package mutating func append(
            _ head: RecordHead,
            hash: UInt64,
            operations: UnsafeRawBufferPointer
        ) {
            storage.entries.append(
                Entry(
                    head: head,
                    hash: hash,
                    start: storage.operations.count,
                    size: operations.count
                )
            )
            storage.operations.append(operations)
        }

        package consuming func finish() -> RecordBatch {
            RecordBatch(storage: storage, range: 0..<storage.entries.count)
        }
    }
}
