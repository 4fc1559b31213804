/// Collects what lies between separators: data blocks, or partitions.
///
/// Thread safety: none.
struct SeparatorBuilder: ~Copyable {
    private var buffer = ByteBuffer(capacity: 4096)
    private var lastKey = ByteBuffer()

    /// Bytes of the payload so far.
    var size: Int { buffer.count }

    /// Adds an entry, by its separator and its sizes.
    mutating func add(_ separator: UnsafeRawBufferPointer, sizes: Int...) {
        let shared = lastKey.bytes.commonCount(separator)
        let suffix = UnsafeRawBufferPointer(rebasing: separator[shared...])
        buffer.append(varint: UInt64(shared))
        buffer.append(varint: UInt64(suffix.count))
        for size in sizes { buffer.append(varint: UInt64(size)) }
        buffer.append(suffix)
        lastKey.truncate(to: shared)
        lastKey.append(suffix)
    }

    /// A short key at or behind a block's last one and before the next block's first one, `nil`
    /// for the last block: the next one, cut behind the byte that differs.
    static func separator(
        _ last: UnsafeRawBufferPointer,
        _ next: UnsafeRawBufferPointer?
    ) -> UnsafeRawBufferPointer {
        guard let next else { return last }
        let size = last.commonCount(next) + 1
        return size < next.count && size <= last.count ? next[in: 0, size] : last
    }

    /// Appends the payload, and begins a new one.
    mutating func finish(_ output: inout ByteBuffer) {
        output.append(buffer.bytes)
        buffer.removeAll()
        lastKey.removeAll()
    }
}

/// Separators in order, and what a subclass knows of what lies before each.
///
/// A search compares eight bytes of each separator, those behind what all of them share, which lie
/// side by side; the keys themselves only where these are equal.
///
/// Thread safety: immutable.
class SeparatorBlock: Block, @unchecked Sendable {
    /// How many separators there are.
    let count: Int
    private let heads: [UInt64]
    /// Where each separator begins in ``keys``, and where the last one ends.
    private let keyOffsets: [UInt32]
    private let keys: UnsafeRawBufferPointer
    private let sharedSize: Int

    fileprivate init(_ entries: borrowing SeparatorEntries) {
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: entries.keys.count,
            alignment: 16
        )
        memory.copyMemory(from: entries.keys.bytes)
        let keys = UnsafeRawBufferPointer(memory)
        let ends = entries.keyOffsets
        func key(_ index: Int) -> UnsafeRawBufferPointer {
            keys[in: Int(ends[index]), Int(ends[index + 1] - ends[index])]
        }
        let count = entries.count
        // A segment may have range tombstones alone.
        let shared = count > 0 ? key(0).commonCount(key(count - 1)) : 0
        self.count = count
        heads = (0..<count).map { Self.head(key($0), from: shared) }
        keyOffsets = ends
        self.keys = keys
        sharedSize = shared
        super.init(owning: memory)
    }

    /// The arrays besides the keys.
    override var charge: Int { super.charge + 12 * (count + 1) }

    func key(_ index: Int) -> UnsafeRawBufferPointer {
        keys[in: Int(keyOffsets[index]), Int(keyOffsets[index + 1] - keyOffsets[index])]
    }

    /// Whether a separator is a key.
    func key(_ index: Int, is key: UnsafeRawBufferPointer) -> Bool {
        self.key(index).isEqual(to: key)
    }

    /// The first entry that may hold a key, or what comes behind it; ``count`` when none does.
    func first(reaching key: UnsafeRawBufferPointer) -> Int {
        guard count > 0 else { return 0 }
        let first = self.key(0)
        let common = first[in: 0, sharedSize].commonCount(key)
        guard common == sharedSize else {
            return common == key.count || key[common] < first[common] ? 0 : count
        }
        let head = Self.head(key, from: sharedSize)
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            let other = heads[middle]
            let isBefore = other < head || (other == head && self.key(middle).precedes(key))
            if isBefore { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Eight bytes of a key as a number that orders as they do; zeros behind its end.
    private static func head(_ key: UnsafeRawBufferPointer, from start: Int) -> UInt64 {
        if start + 8 <= key.count {
            return key.loadUnaligned(fromByteOffset: start, as: UInt64.self).bigEndian
        }
        var head: UInt64 = 0
        for index in start..<start + 8 {
            head = head << 8 | (index < key.count ? UInt64(key[index]) : 0)
        }
        return head
    }
}

/// Where the data blocks of a partition are.
///
/// Thread safety: immutable.
final class SegmentIndex: SeparatorBlock, @unchecked Sendable {
    /// Where each block begins, and where the last one ends.
    private let offsets: [UInt64]

    /// Decodes a payload that may be hostile; `nil` when it is no index of blocks that take a range
    /// of the file.
    init?(decoding payload: UnsafeRawBufferPointer, of range: Range<UInt64>) {
        guard let entries = SeparatorEntries(payload, sizesEach: 1) else { return nil }
        var offsets = [range.lowerBound]
        for size in entries.sizes {
            let (end, overflow) = offsets[offsets.count - 1].addingReportingOverflow(size)
            guard size > UInt64(SegmentFormat.blockHeaderSize), !overflow, end <= range.upperBound
            else { return nil }
            offsets.append(end)
        }
        guard offsets.last == range.upperBound, !range.isEmpty else { return nil }
        self.offsets = offsets
        super.init(entries)
    }

    override var charge: Int { super.charge + 8 * (count + 1) }

    func handle(_ index: Int) -> BlockHandle {
        BlockHandle(offset: offsets[index], size: Int(offsets[index + 1] - offsets[index]))
    }
}

/// Where a stretch of data blocks is, and what is needed to find a key in them.
struct SegmentPartition: Hashable, Sendable {
    let data: Range<UInt64>
    /// `nil`: there is none.
    let filter: BlockHandle?
    let index: BlockHandle
}

/// Where the partitions of a segment are.
///
/// Thread safety: immutable.
final class SegmentDirectory: SeparatorBlock, @unchecked Sendable {
    private let partitions: [SegmentPartition]

    /// Decodes a payload that may be hostile; `nil` when it is no directory of partitions that end
    /// at an offset.
    init?(decoding payload: UnsafeRawBufferPointer, end: UInt64) {
        guard let entries = SeparatorEntries(payload, sizesEach: 3) else { return nil }
        let headerSize = UInt64(SegmentFormat.blockHeaderSize)
        var partitions: [SegmentPartition] = []
        var offset: UInt64 = 0
        for first in stride(from: 0, to: entries.sizes.count, by: 3) {
            let sizes = entries.sizes[first..<first + 3]
            let (data, filter, index) = (sizes[first], sizes[first + 1], sizes[first + 2])
            guard data > headerSize, filter == 0 || filter > headerSize, index > headerSize,
                data <= end - offset, filter <= end - offset - data,
                index <= end - offset - data - filter,
                filter <= SegmentFormat.storedSizeMax, index <= SegmentFormat.storedSizeMax
            else { return nil }
            let filterOffset = offset + data
            let indexOffset = filterOffset + filter
            let partition = SegmentPartition(
                data: offset..<filterOffset,
                filter: filter == 0 ? nil : BlockHandle(offset: filterOffset, size: Int(filter)),
                index: BlockHandle(offset: indexOffset, size: Int(index))
            )
            partitions.append(partition)
            offset = indexOffset + index
        }
        guard offset == end else { return nil }
        self.partitions = partitions
        super.init(entries)
    }

    override var charge: Int {
        super.charge + MemoryLayout<SegmentPartition>.stride * partitions.count
    }

    subscript(number: Int) -> SegmentPartition { partitions[number] }
}

/// The decoded entries of an index or a directory.
private struct SeparatorEntries: ~Copyable {
    private(set) var sizes: [UInt64] = []
    private(set) var keyOffsets: [UInt32] = [0]
    private(set) var keys = ByteBuffer(capacity: 4096)

    var count: Int { keyOffsets.count - 1 }

    /// `nil` when the bytes, which may be hostile, are no entries of so many sizes each.
    init?(_ payload: UnsafeRawBufferPointer, sizesEach: Int) {
        var reader = ByteReader(payload)
        var lastStart = 0
        while reader.remaining > 0 {
            guard let shared = reader.size(max: keys.count - lastStart),
                let suffixSize = reader.size(max: Limits.keySize - shared)
            else { return nil }
            for _ in 0..<sizesEach {
                guard let size = reader.varint() else { return nil }
                sizes.append(size)
            }
            // The first size is that of data.
            guard UInt64(shared + suffixSize + 254) / 255 <= sizes[sizes.count - sizesEach],
                let suffix = reader.bytes(suffixSize), keys.count <= Self.keysSizeMax
            else { return nil }
            let start = keys.count
            _ = keys.reserve(shared)
            keys.append(keys.bytes[in: lastStart, shared])
            keys.append(suffix)
            guard start == 0 || isAscending(lastStart, start) else { return nil }
            keyOffsets.append(UInt32(keys.count))
            lastStart = start
        }
    }

    /// Offsets of keys are 32 bits. What separators share cannot make more than 255 times the
    /// file of them.
    private static let keysSizeMax = 1 << 30

    private borrowing func isAscending(_ last: Int, _ start: Int) -> Bool {
        let before = keys.bytes[in: last, start - last]
        return !keys.bytes[in: start, keys.count - start].precedes(before)
    }
}
