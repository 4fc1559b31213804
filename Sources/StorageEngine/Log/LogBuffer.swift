/// Operations over 64 KiB, compressed by their writer before they join the pipeline.
///
/// Thread safety: immutable.
final class LargeBlock: @unchecked Sendable {
    let bytes: UnsafeMutableRawBufferPointer
    let isRaw: Bool

    init(compressing operations: UnsafeRawBufferPointer) {
        let bound = LZ4.bound(operations.count)
        let target = UnsafeMutableRawBufferPointer.allocate(byteCount: bound, alignment: 16)
        if let size = LZ4.compress(operations, to: target), size < operations.count {
            bytes = UnsafeMutableRawBufferPointer(rebasing: target[..<size])
            isRaw = false
        } else {
            target.copyMemory(from: operations)
            bytes = UnsafeMutableRawBufferPointer(rebasing: target[..<operations.count])
            isRaw = true
        }
    }

    deinit { bytes.baseAddress?.deallocate() }
}

/// Sequenced records that wait, uncompressed, to be framed and written.
///
/// Thread safety: none; it belongs to whoever holds the commit or the append role.
struct LogBuffer: ~Copyable {
    struct Entry {
        let head: RecordHead
        /// The log hash before the record.
        let hashBefore: UInt64
        /// The log hash with the record.
        let hash: UInt64
        /// Where the operations are in ``bytes``; of a large block, their size only.
        let start: Int
        let size: Int
        let large: LargeBlock?
    }

    private(set) var entries: [Entry] = []
    private(set) var storage = ByteBuffer(capacity: 64 << 10)
    /// Bytes held, for the memory window.
    private(set) var size = 0

    var isEmpty: Bool { entries.isEmpty }

    /// The most bytes an idle buffer keeps allocated.
    private static let idleCapacity = 4 << 20

    mutating func append(
        _ head: RecordHead,
        hashBefore: UInt64,
        hash: UInt64,
        operations: UnsafeRawBufferPointer,
        large: LargeBlock?
    ) {
        entries.append(
            Entry(
                head: head,
                hashBefore: hashBefore,
                hash: hash,
                start: storage.count,
                size: operations.count,
                large: large
            )
        )
        if large == nil { storage.append(operations) }
        size += large?.bytes.count ?? operations.count
    }

    /// Forgets the entries behind a count.
    mutating func truncate(to count: Int) {
        guard count < entries.count else { return }
        storage.truncate(to: entries[count].start)
        for entry in entries[count...] { size -= entry.large?.bytes.count ?? entry.size }
        entries.removeSubrange(count...)
    }

    mutating func removeAll() {
        entries.removeAll(keepingCapacity: true)
        storage.removeAll()
        size = 0
        if storage.capacity > Self.idleCapacity { storage = ByteBuffer(capacity: 64 << 10) }
    }

    func operations(of entry: Entry) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: storage.base + entry.start, count: entry.size)
    }
}
