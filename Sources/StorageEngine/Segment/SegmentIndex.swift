/// Collects where the data blocks of a segment are.
///
/// Thread safety: none.
struct SegmentIndexBuilder: ~Copyable {
    private var buffer = ByteBuffer(capacity: 4096)
    private var lastKey = ByteBuffer()

    /// Adds a data block by its last key, the first key of the block behind it, `nil` for the last
    /// block, and its size with header.
    mutating func add(
        last: UnsafeRawBufferPointer,
        next: UnsafeRawBufferPointer?,
        blockSize: Int
    ) {
        let separator = next.map { Self.separator(last, $0) } ?? last
        let shared = lastKey.bytes.commonCount(separator)
        let suffix = UnsafeRawBufferPointer(rebasing: separator[shared...])
        buffer.append(varint: UInt64(shared))
        buffer.append(varint: UInt64(suffix.count))
        buffer.append(varint: UInt64(blockSize))
        buffer.append(suffix)
        lastKey.truncate(to: shared)
        lastKey.append(suffix)
    }

    /// A short key at or behind the last one and before the next one: the next one, cut behind the
    /// byte that differs.
    private static func separator(
        _ last: UnsafeRawBufferPointer,
        _ next: UnsafeRawBufferPointer
    ) -> UnsafeRawBufferPointer {
        let size = last.commonCount(next) + 1
        return size < next.count && size <= last.count ? next[in: 0, size] : last
    }

    /// Appends the payload.
    borrowing func finish(_ output: inout ByteBuffer) { output.append(buffer.bytes) }
}

/// Where the data blocks of a segment are.
///
/// A search compares eight bytes of each separator, those behind what all of them share, which lie
/// side by side; the keys themselves only where these are equal.
///
/// Thread safety: immutable.
final class SegmentIndex: Block, @unchecked Sendable {
    /// How many data blocks there are.
    let count: Int
    /// Where each block begins, and where the last one ends.
    private let offsets: [UInt64]
    private let heads: [UInt64]
    /// Where each separator begins in ``keys``, and where the last one ends.
    private let keyOffsets: [UInt32]
    private let keys: UnsafeRawBufferPointer
    private let sharedSize: Int

    /// Decodes a payload that may be hostile; `nil` when it is no index of blocks that end at an
    /// offset.
    init?(decoding payload: UnsafeRawBufferPointer, dataEnd: UInt64) {
        guard let parts = Parts(payload, dataEnd: dataEnd) else { return nil }
        count = parts.offsets.count - 1
        offsets = parts.offsets
        keyOffsets = parts.keyOffsets
        let memory = BlockMemory.allocate(parts.keys.count)
        memory.copyMemory(from: parts.keys.bytes)
        let keys = UnsafeRawBufferPointer(memory)
        let ends = parts.keyOffsets
        func key(_ index: Int) -> UnsafeRawBufferPointer {
            keys[in: Int(ends[index]), Int(ends[index + 1] - ends[index])]
        }
        // A segment may have range tombstones alone.
        let shared = ends.count > 1 ? key(0).commonCount(key(ends.count - 2)) : 0
        heads = (0..<ends.count - 1).map { Self.head(key($0), from: shared) }
        self.keys = keys
        sharedSize = shared
        super.init(owning: memory)
    }

    /// The arrays besides the keys.
    override var charge: Int { super.charge + 20 * (count + 1) }

    func key(_ index: Int) -> UnsafeRawBufferPointer {
        keys[in: Int(keyOffsets[index]), Int(keyOffsets[index + 1] - keyOffsets[index])]
    }

    func handle(_ index: Int) -> BlockHandle {
        BlockHandle(offset: offsets[index], size: Int(offsets[index + 1] - offsets[index]))
    }

    /// The first block that may hold a key, or what comes behind it; ``count`` when none does.
    func block(for key: UnsafeRawBufferPointer) -> Int {
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

    /// The decoded entries.
    private struct Parts: ~Copyable {
        var offsets: [UInt64] = [0]
        var keyOffsets: [UInt32] = [0]
        var keys = ByteBuffer(capacity: 4096)

        init?(_ payload: UnsafeRawBufferPointer, dataEnd: UInt64) {
            var reader = ByteReader(payload)
            var offset: UInt64 = 0
            var lastStart = 0
            while reader.remaining > 0 {
                guard let shared = reader.size(max: keys.count - lastStart),
                    let suffixSize = reader.size(max: Limits.keySize - shared),
                    let blockSize = reader.size(max: 2 * SegmentFormat.rawSizeMax),
                    blockSize > SegmentFormat.blockHeaderSize,
                    shared + suffixSize <= 255 * blockSize,
                    let suffix = reader.bytes(suffixSize), keys.count <= Self.keysSizeMax
                else { return nil }
                let start = keys.count
                _ = keys.reserve(shared)
                keys.append(keys.bytes[in: lastStart, shared])
                keys.append(suffix)
                offset += UInt64(blockSize)
                guard offset <= dataEnd, start == 0 || isAscending(lastStart, start) else {
                    return nil
                }
                offsets.append(offset)
                keyOffsets.append(UInt32(keys.count))
                lastStart = start
            }
            guard offset == dataEnd else { return nil }
        }

        /// Offsets of keys are 32 bits. What separators share cannot make more than 255 times the
        /// file of them.
        private static let keysSizeMax = 1 << 30

        private borrowing func isAscending(_ last: Int, _ start: Int) -> Bool {
            let before = keys.bytes[in: last, start - last]
            return !keys.bytes[in: start, keys.count - start].precedes(before)
        }
    }
}
