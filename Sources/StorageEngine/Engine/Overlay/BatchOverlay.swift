/// The operations of a batch, sorted, to lie over a store: a memory index of their own.
///
/// Each operation gets a sequence above those of all records, so that a merge with the store finds
/// it newer, and a range delete hides what the batch did before and nothing that it does later.
///
/// Thread safety: one owner; a reading may go to another thread.
struct BatchOverlay: Sendable {
    private var index = MemoryIndex()
    /// The sequences of cursors, which see the batch as it was when they were made.
    private var readers = SnapshotRegistry()
    private var lastSequence = Self.start

    /// Records stay below.
    private static let start: UInt64 = 1 << 63
    /// Replaced values are given back from this many bytes on.
    private static let deadSizeMax = 16 << 20

    /// What the batch says of a key.
    enum Lookup {
        case value(UnsafeRawBufferPointer)
        case deleted
        /// Nothing; the store is to be asked.
        case untouched
    }

    func find(_ key: UnsafeRawBufferPointer) -> Lookup {
        let found = index.find(key, at: lastSequence)
        if let version = found.version {
            return version.isTombstone ? .deleted : .value(version.value)
        }
        return found.rangeTombstone > 0 ? .deleted : .untouched
    }

    /// Memory taken from the system.
    var byteCount: Int { index.byteCount }

    // MARK: - Operations

    mutating func insert(
        _ kind: OperationKind,
        key: UnsafeRawBufferPointer,
        value: UnsafeRawBufferPointer
    ) {
        let flags = kind == .delete ? VersionFlags.tombstone : 0
        let retention = retention
        lastSequence += 1
        index.insert(
            key: key,
            value: value,
            flags: flags,
            sequence: lastSequence,
            retention: retention
        )
    }

    mutating func delete(_ range: KeyRange) {
        let retention = retention
        lastSequence += 1
        index.insert(RangeTombstone(range, sequence: lastSequence), retention: retention)
    }

    private var retention: MemoryIndex.Retention {
        MemoryIndex.Retention(visible: lastSequence, registered: readers.registered)
    }

    /// Begins anew with the operations of a batch when much of the memory is that of replaced ones.
    /// Cursors keep what they had.
    mutating func compact(_ batch: borrowing WriteBatch) {
        guard index.unlinkedBytes > Self.deadSizeMax, index.unlinkedBytes > 2 * batch.encodedSize
        else { return }
        self = BatchOverlay()
        batch.withOperations { operations in
            // Range deletes remove nothing of their own batch, so they come first.
            forEach(operations) { overlay, operation in
                if operation.kind == .rangeDelete { overlay.delete(KeyRange(operation)) }
            }
            forEach(operations) { overlay, operation in
                guard operation.kind != .rangeDelete else { return }
                overlay.insert(operation.kind, key: operation.key, value: operation.value)
            }
        }
    }

    private mutating func forEach(
        _ operations: UnsafeRawBufferPointer,
        _ body: (inout BatchOverlay, Operation) -> Void
    ) {
        var reader = OperationReader(operations)
        do throws(DecodingFailure) {
            while let operation = try reader.next() { body(&self, operation) }
        } catch {
            preconditionFailure("a batch holds whole operations: \(error.reason)")
        }
    }

    // MARK: - Readings

    /// The batch as it is now, for a cursor.
    var reading: Reading {
        Reading(index, readers, sequence: readers.register { lastSequence })
    }

    /// A batch as it was at a moment; what it shows is kept as long as this.
    ///
    /// Thread safety: constant.
    final class Reading: Sendable {
        let sequence: UInt64
        let tombstones: RangeTombstones
        /// The greatest sequence of a version.
        let lastVersionSequence: UInt64
        private let index: MemoryIndex
        private let readers: SnapshotRegistry

        fileprivate init(_ index: MemoryIndex, _ readers: SnapshotRegistry, sequence: UInt64) {
            self.index = index
            self.readers = readers
            self.sequence = sequence
            tombstones = index.rangeTombstones
            lastVersionSequence = index.lastVersionSequence
        }

        deinit { readers.release(sequence) }

        /// What a merge takes it for.
        var source: VisibleSource { IndexSource(index, at: sequence) }
    }
}
