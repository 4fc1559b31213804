internal import Glibc

/// Collects the entries of a data block.
///
/// Thread safety: none.
struct DataBlockBuilder: ~Copyable {
    private var buffer = ByteBuffer(capacity: 2 * SegmentFormat.blockSize)
    private var restarts: [UInt32] = []
    private var lastKey = ByteBuffer()
    private var sinceRestart = 0

    var isEmpty: Bool { buffer.count == 0 }
    var isFull: Bool { buffer.count >= SegmentFormat.blockSize }
    /// The key added last; valid until the next change.
    var last: UnsafeRawBufferPointer { lastKey.bytes }

    /// Adds an entry behind all others.
    mutating func add(_ entry: SegmentEntry) {
        let key = entry.key
        var shared = 0
        if restarts.isEmpty || sinceRestart == SegmentFormat.restartInterval {
            restarts.append(UInt32(buffer.count))
            sinceRestart = 0
        } else {
            shared = lastKey.bytes.commonCount(key)
        }
        sinceRestart += 1
        buffer.append(varint: UInt64(shared))
        buffer.append(varint: UInt64(key.count - shared))
        buffer.append(varint: UInt64(entry.value.count))
        buffer.append(entry.flags)
        buffer.append(varint: entry.sequence)
        buffer.append(UnsafeRawBufferPointer(rebasing: key[shared...]))
        buffer.append(entry.value)
        lastKey.truncate(to: shared)
        lastKey.append(UnsafeRawBufferPointer(rebasing: key[shared...]))
    }

    /// Calls a closure with the payload, and begins a new block.
    mutating func finish(_ body: (UnsafeRawBufferPointer) -> Void) {
        for restart in restarts { buffer.append(restart) }
        buffer.append(UInt32(restarts.count))
        body(buffer.bytes)
        buffer.removeAll()
        restarts.removeAll(keepingCapacity: true)
        lastKey.removeAll()
    }
}

/// A version of a key, as segments hold it; its bytes are borrowed.
package struct SegmentEntry {
    package var key: UnsafeRawBufferPointer
    package var sequence: UInt64
    package var flags: UInt8
    /// Empty for a tombstone.
    package var value: UnsafeRawBufferPointer

    package init(
        key: UnsafeRawBufferPointer,
        sequence: UInt64,
        flags: UInt8,
        value: UnsafeRawBufferPointer
    ) {
        self.key = key
        self.sequence = sequence
        self.flags = flags
        self.value = value
    }

    package var isTombstone: Bool { flags & VersionFlags.tombstone != 0 }
}

/// Sorted entries, and the restarts among them.
///
/// The checksum was right, but the bytes may still be hostile: every offset and size is checked.
///
/// Thread safety: immutable.
final class DataBlock: Block, @unchecked Sendable {
    /// Where the entries end.
    let end: Int
    let restartCount: Int

    /// `nil` when the bytes are no data block; the memory is the block's in any case.
    init?(owningEntries memory: UnsafeMutableRawBufferPointer) {
        let bytes = UnsafeRawBufferPointer(memory)
        let count = bytes.count < 4 ? 0 : Int(bytes.uint32(at: bytes.count - 4))
        let isWhole = count >= 1 && count <= (bytes.count - 4) / 4
        restartCount = isWhole ? count : 0
        end = isWhole ? bytes.count - 4 - 4 * count : 0
        super.init(owning: memory)
        if !isWhole || restart(0) != 0 { return nil }
    }

    /// The offset of an entry that shares nothing with the one before it.
    func restart(_ index: Int) -> Int { Int(bytes.uint32(at: end + 4 * index)) }

    /// The parts of an entry; offsets into the block.
    struct Entry {
        var shared = 0
        var suffix = 0
        var suffixSize = 0
        var valueSize = 0
        var flags: UInt8 = 0
        var sequence: UInt64 = 0

        var value: Int { suffix + suffixSize }
        var next: Int { suffix + suffixSize + valueSize }
    }

    /// Decodes the entry at an offset; `nil` when there is none that is whole.
    @inline(__always)
    func entry(at offset: Int) -> Entry? {
        var entry = Entry()
        guard offset < end, let base = bytes.baseAddress else { return nil }
        // Most entries have sizes below 128, and room behind them.
        if end - offset >= 16 {
            let word = base.loadUnaligned(fromByteOffset: offset, as: UInt32.self).littleEndian
            if word & 0x0080_8080 == 0 {
                entry.shared = Int(word & 0x7f)
                entry.suffixSize = Int(word >> 8 & 0x7f)
                entry.valueSize = Int(word >> 16 & 0x7f)
                entry.flags = UInt8(word >> 24)
                var place = offset + 4
                var byte = base.load(fromByteOffset: place, as: UInt8.self)
                var shift: UInt64 = 0
                entry.sequence = UInt64(byte & 0x7f)
                while byte >= 0x80, shift < 56 {
                    place += 1
                    shift += 7
                    byte = base.load(fromByteOffset: place, as: UInt8.self)
                    entry.sequence |= UInt64(byte & 0x7f) << shift
                }
                entry.suffix = place + 1
                if byte < 0x80 { return isWhole(entry) ? entry : nil }
            }
        }
        return longEntry(at: offset)
    }

    private func isWhole(_ entry: Entry) -> Bool {
        entry.next <= end && entry.flags & ~VersionFlags.tombstone == 0
    }

    /// Decodes an entry with any sizes.
    private func longEntry(at offset: Int) -> Entry? {
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: bytes[offset..<end]))
        var entry = Entry()
        guard let shared = reader.size(max: Limits.keySize),
            let suffixSize = reader.size(max: Limits.keySize - shared),
            let valueSize = reader.size(max: Limits.valueSize), let flags = reader.byte(),
            let sequence = reader.varint()
        else { return nil }
        entry.shared = shared
        entry.suffixSize = suffixSize
        entry.valueSize = valueSize
        entry.flags = flags
        entry.sequence = sequence
        entry.suffix = offset + reader.offset
        return isWhole(entry) ? entry : nil
    }

    // MARK: - Lookup

    enum Lookup {
        case found(Entry)
        /// The key is not in the block.
        case absent
        /// All entries are before the one sought; the next block may go on.
        case behind
        case malformed
    }

    /// Finds the newest version of a key at or below a sequence, without putting keys together:
    /// what an entry shares with the one before it says how it compares with the key sought.
    func find(_ key: UnsafeRawBufferPointer, at sequence: UInt64) -> Lookup {
        guard let interval = interval(of: key, at: sequence) else { return .malformed }
        var offset = restart(interval)
        /// How many leading bytes the entry before shares with the key sought.
        var matched = 0
        while offset < end {
            guard let entry = entry(at: offset) else { return .malformed }
            offset = entry.next
            if entry.shared > matched { continue }
            if entry.shared < matched {
                // A restart shares nothing only because it was not asked to.
                guard entry.shared == 0 else { return .absent }
                matched = 0
            }
            let suffix = bytes[in: entry.suffix, entry.suffixSize]
            let rest = UnsafeRawBufferPointer(rebasing: key[matched...])
            let common = suffix.commonCount(rest)
            if common < suffix.count {
                if common == rest.count || suffix[common] > rest[common] { return .absent }
            } else if common == rest.count {
                if entry.sequence <= sequence { return .found(entry) }
            }
            matched += common
        }
        return .behind
    }

    /// The last interval whose first entry is not behind the one sought.
    func interval(of key: UnsafeRawBufferPointer, at sequence: UInt64) -> Int? {
        var low = 0
        var high = restartCount
        while high - low > 1 {
            let middle = (low + high) / 2
            guard let entry = entry(at: restart(middle)), entry.shared == 0 else { return nil }
            let first = bytes[in: entry.suffix, entry.suffixSize]
            let isBefore =
                first.precedes(key)
                || (!key.precedes(first) && entry.sequence >= sequence)
            if isBefore { low = middle } else { high = middle }
        }
        return low
    }
}

extension UnsafeRawBufferPointer {
    func uint32(at offset: Int) -> UInt32 {
        UInt32(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    /// A part of the bytes, which must be there.
    @inline(__always)
    subscript(in offset: Int, count: Int) -> UnsafeRawBufferPointer {
        guard let baseAddress else { return self }
        return UnsafeRawBufferPointer(start: baseAddress + offset, count: count)
    }
}
