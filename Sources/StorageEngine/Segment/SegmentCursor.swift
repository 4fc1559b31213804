/// A place among all entries of one segment, or of several that lie one behind the other; moves
/// both ways.
///
/// After an error the cursor stands on no entry, and stays failed until it is sought again.
///
/// Thread safety: none; one owner.
package struct SegmentCursor: ~Copyable {
    /// In order, without overlap.
    private let segments: [Segment]
    /// Whether blocks that are read go into the cache.
    private let fills: Bool
    private var number = 0
    private var directory: SegmentDirectory?
    private var partitionNumber = 0
    private var index: SegmentIndex?
    private var blockNumber = 0
    private var entries = DataBlockCursor()
    /// The last key of the block before, to tell whether the next block goes on with it.
    private var lastKey = ByteBuffer()
    /// Whether the key is that of the entry before; only after a move forward.
    package private(set) var repeatsKey = false
    private var failure: EngineError?

    package init(_ segments: [Segment], fills: Bool = true) {
        self.segments = segments
        self.fills = fills
    }

    package var isOnEntry: Bool { entries.isOnEntry }
    /// The key; valid until the cursor moves.
    package var key: UnsafeRawBufferPointer { entries.key }
    package var sequence: UInt64 { entries.sequence }
    package var isTombstone: Bool { entries.flags & VersionFlags.tombstone != 0 }
    /// The value; valid as long as ``owner``.
    package var value: UnsafeRawBufferPointer { entries.value }
    /// What holds the value.
    var owner: Block? { entries.current }
    /// Where the entry lies; `nil` before the first move.
    var partition: SegmentPartition? {
        guard let directory, partitionNumber < directory.count else { return nil }
        return directory[partitionNumber]
    }
    package var entry: SegmentEntry {
        SegmentEntry(key: key, sequence: sequence, flags: entries.flags, value: value)
    }

    // MARK: - Forward

    package mutating func seekToFirst() throws(EngineError) {
        number = -1
        try nextSegment()
    }

    /// Moves to the first entry at or behind a key's version at a sequence.
    package mutating func seek(
        to key: UnsafeRawBufferPointer,
        at sequence: UInt64
    ) throws(EngineError) {
        guard try openSegment(segments.first(reaching: key)), let directory else { return }
        // The versions of a key may take several blocks, and partitions.
        var partition = directory.first(reaching: key)
        while try openPartition(partition), let index {
            var block = index.first(reaching: key)
            while try openBlock(block) {
                entries.seek(to: key, at: sequence)
                try check()
                if entries.isOnEntry { return }
                block += 1
            }
            partition += 1
        }
        try nextSegment()
    }

    /// Moves to the next entry, or to none.
    package mutating func next() throws(EngineError) {
        if let failure { throw failure }
        guard entries.isOnEntry else { return }
        // The buffer is only needed where a block ends; entries know within one.
        lastKey.removeAll()
        if entries.isLast { lastKey.append(entries.key) }
        entries.next()
        repeatsKey = entries.repeatsKey
        try check()
        guard !entries.isOnEntry else { return }
        try nextBlock()
        repeatsKey = entries.isOnEntry && entries.key.isEqual(to: lastKey.bytes)
    }

    private mutating func nextBlock() throws(EngineError) {
        if try openBlock(blockNumber + 1) == false {
            guard try openPartition(partitionNumber + 1), try openBlock(0) else {
                return try nextSegment()
            }
        }
        entries.seekToFirst()
        try check()
    }

    private mutating func nextSegment() throws(EngineError) {
        // A segment may have range tombstones alone.
        while try openSegment(number + 1) {
            guard try openPartition(0), try openBlock(0) else { continue }
            entries.seekToFirst()
            return try check()
        }
    }

    // MARK: - Back

    package mutating func seekToLast() throws(EngineError) {
        number = segments.count
        try previousSegment()
    }

    /// Moves to the last entry before all versions of a key.
    package mutating func seek(before key: UnsafeRawBufferPointer) throws(EngineError) {
        try seek(to: key, at: .max)
        if isOnEntry { try previous() } else { try seekToLast() }
    }

    /// Moves to the entry before, or to none.
    package mutating func previous() throws(EngineError) {
        if let failure { throw failure }
        guard entries.isOnEntry else { return }
        entries.previous()
        try check()
        if !entries.isOnEntry { try previousBlock() }
    }

    private mutating func previousBlock() throws(EngineError) {
        if try openBlock(blockNumber - 1) == false {
            guard try openPartition(partitionNumber - 1), try openLastBlock() else {
                return try previousSegment()
            }
        }
        entries.seekToLast()
        try check()
    }

    private mutating func previousSegment() throws(EngineError) {
        while try openSegment(number - 1), let directory {
            guard try openPartition(directory.count - 1), try openLastBlock() else { continue }
            entries.seekToLast()
            return try check()
        }
    }

    // MARK: - Blocks

    /// Opens a segment's directory; `false` when there is none of that number.
    private mutating func openSegment(_ newNumber: Int) throws(EngineError) -> Bool {
        failure = nil
        repeatsKey = false
        entries.open(nil)
        guard segments.indices.contains(newNumber) else {
            directory = nil
            index = nil
            return false
        }
        if number != newNumber || directory == nil {
            number = newNumber
            directory = nil
            index = nil
            do throws(EngineError) {
                directory = try segments[newNumber].directory(.any)
            } catch {
                throw fail(error)
            }
        }
        return true
    }

    /// Opens a partition's index; `false` when the segment has none of that number.
    private mutating func openPartition(_ newNumber: Int) throws(EngineError) -> Bool {
        entries.open(nil)
        guard let directory, newNumber >= 0, newNumber < directory.count else { return false }
        if partitionNumber != newNumber || index == nil {
            partitionNumber = newNumber
            index = nil
            do throws(EngineError) {
                index = try segments[number].index(directory[newNumber], fills: fills)
            } catch {
                throw fail(error)
            }
        }
        return true
    }

    /// Opens a data block; `false` when the partition has none of that number.
    private mutating func openBlock(_ newNumber: Int) throws(EngineError) -> Bool {
        entries.open(nil)
        guard let index, newNumber >= 0, newNumber < index.count else { return false }
        blockNumber = newNumber
        do throws(EngineError) {
            let handle = index.handle(newNumber)
            entries.open(try segments[number].dataBlock(handle, .any, fills: fills))
        } catch {
            throw fail(error)
        }
        return true
    }

    private mutating func openLastBlock() throws(EngineError) -> Bool {
        guard let index else { return false }
        return try openBlock(index.count - 1)
    }

    private mutating func fail(_ error: EngineError) -> EngineError {
        failure = error
        return error
    }

    private mutating func check() throws(EngineError) {
        guard entries.isMalformed, let index else { return }
        throw fail(segments[number].malformed("data block", at: index.handle(blockNumber).offset))
    }
}

extension [Segment] {
    /// The first segment, of several in order without overlap, that has a key or one behind it.
    func first(reaching key: UnsafeRawBufferPointer) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self[middle].info.ends(before: key) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
