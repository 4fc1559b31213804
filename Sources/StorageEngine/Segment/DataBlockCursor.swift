/// A place among the entries of a data block; moves both ways.
///
/// Moving back decodes a whole interval between restarts at once and remembers it.
///
/// Thread safety: none; one owner.
struct DataBlockCursor: ~Copyable, @unchecked Sendable {
    private var block: DataBlock?
    /// Where the entry begins; `end` of the block when the cursor stands on none.
    private var offset = 0
    private var entry = DataBlock.Entry()
    private var keyBuffer = ByteBuffer()
    /// Whether the key is the same as that of the entry before, when moving forward.
    private(set) var repeatsKey = false
    private(set) var isOnEntry = false
    /// Whether the block turned out to be malformed; the cursor then stands on no entry.
    private(set) var isMalformed = false

    /// An entry that was passed, with its key in ``trailKeys``.
    private struct Step {
        let offset: Int
        let entry: DataBlock.Entry
        let keyStart, keySize: Int
    }

    /// The entries of an interval up to the one the cursor stands on, for moves back.
    private var trail: [Step] = []
    private var trailKeys = ByteBuffer()
    private var interval = 0

    init() {}

    /// The block, which owns the value.
    var current: DataBlock? { block }
    /// The key; valid until the cursor moves.
    var key: UnsafeRawBufferPointer { keyBuffer.bytes }
    var sequence: UInt64 { entry.sequence }
    var flags: UInt8 { entry.flags }
    /// The value; valid as long as the block.
    var value: UnsafeRawBufferPointer {
        guard let block else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        return block.bytes[in: entry.value, entry.valueSize]
    }

    /// Whether no entry of the block comes behind the one the cursor stands on.
    var isLast: Bool { entry.next == block?.end }

    /// Stands on no entry of a block.
    mutating func open(_ newBlock: DataBlock?) {
        block = newBlock
        isOnEntry = false
        repeatsKey = false
        trail.removeAll(keepingCapacity: true)
    }

    // MARK: - Forward

    mutating func seekToFirst() {
        trail.removeAll(keepingCapacity: true)
        keyBuffer.removeAll()
        load(0)
    }

    /// Moves to the next entry, or to none behind the last.
    mutating func next() {
        guard isOnEntry else { return }
        trail.removeAll(keepingCapacity: true)
        load(entry.next)
    }

    /// Moves to the first entry at or behind a key's version at a sequence.
    mutating func seek(to key: UnsafeRawBufferPointer, at sequence: UInt64) {
        guard let block else { return }
        trail.removeAll(keepingCapacity: true)
        guard let interval = block.interval(of: key, at: sequence) else { return fail() }
        keyBuffer.removeAll()
        load(block.restart(interval))
        while isOnEntry {
            let found = keyBuffer.bytes
            let isBefore =
                found.precedes(key) || (entry.sequence > sequence && !key.precedes(found))
            guard isBefore else { return }
            load(entry.next)
        }
    }

    /// Decodes the entry at an offset, whose predecessor's key is in the buffer.
    private mutating func load(_ newOffset: Int) {
        guard let block else { return }
        offset = newOffset
        guard newOffset < block.end else {
            isOnEntry = false
            if newOffset != block.end { fail() }
            return
        }
        guard let found = block.entry(at: newOffset), found.shared <= keyBuffer.count,
            found.shared + found.suffixSize <= Limits.keySize
        else { return fail() }
        let suffix = block.bytes[in: found.suffix, found.suffixSize]
        if found.shared == 0 {
            repeatsKey = isOnEntry && keyBuffer.bytes.isEqual(to: suffix)
        } else {
            repeatsKey = isOnEntry && found.suffixSize == 0 && found.shared == keyBuffer.count
        }
        keyBuffer.truncate(to: found.shared)
        keyBuffer.append(suffix)
        entry = found
        isOnEntry = true
    }

    private mutating func fail() {
        isMalformed = true
        isOnEntry = false
    }

    // MARK: - Back

    mutating func seekToLast() {
        guard let block else { return }
        walk(block.restartCount - 1, upTo: block.end)
    }

    /// Moves to the last entry before a key.
    mutating func seek(before key: UnsafeRawBufferPointer) {
        // The newest possible version of the key comes before all others of it.
        seek(to: key, at: .max)
        guard !isMalformed else { return }
        if isOnEntry { previous() } else { seekToLast() }
    }

    /// Moves to the entry before, or to none before the first.
    mutating func previous() {
        guard isOnEntry, let block else { return }
        let limit = offset
        guard limit > 0 else {
            isOnEntry = false
            return
        }
        if trail.isEmpty {
            walk(intervalBefore(limit, in: block), upTo: limit)
            return
        }
        trail.removeLast()
        guard let step = trail.last else {
            guard interval > 0 else { return fail() }
            return walk(interval - 1, upTo: limit)
        }
        offset = step.offset
        entry = step.entry
        keyBuffer.removeAll()
        keyBuffer.append(trailKeys.bytes[in: step.keyStart, step.keySize])
    }

    /// The last interval that begins before an offset.
    private func intervalBefore(_ limit: Int, in block: DataBlock) -> Int {
        var low = 0
        var high = block.restartCount
        while high - low > 1 {
            let middle = (low + high) / 2
            if block.restart(middle) < limit { low = middle } else { high = middle }
        }
        return low
    }

    /// Goes through an interval, noting its entries, to the last one before an offset.
    private mutating func walk(_ newInterval: Int, upTo limit: Int) {
        guard let block else { return }
        interval = newInterval
        trail.removeAll(keepingCapacity: true)
        keyBuffer.removeAll()
        isOnEntry = false
        trailKeys.removeAll()
        load(block.restart(newInterval))
        guard isOnEntry else { return fail() }
        note()
        while isOnEntry, entry.next < limit {
            guard trail.count < SegmentFormat.restartIntervalMax else { return fail() }
            load(entry.next)
            note()
        }
        if isOnEntry, entry.next != limit { fail() }
    }

    private mutating func note() {
        let step = Step(
            offset: offset,
            entry: entry,
            keyStart: trailKeys.count,
            keySize: keyBuffer.count
        )
        trailKeys.append(keyBuffer.bytes)
        trail.append(step)
    }
}
