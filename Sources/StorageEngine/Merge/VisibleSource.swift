// What a merging cursor merges: sorted sources, each of which yields every key that has a version
// at or below a sequence once, with the newest such version, tombstones included.

/// A place among the visible entries of one source; moves both ways.
///
/// Thread safety: none; one owner.
class VisibleSource {
    /// What stands at the place; valid until the source moves.
    struct Entry {
        let key: UnsafeRawBufferPointer
        let sequence: UInt64
        let isTombstone: Bool
        let value: UnsafeRawBufferPointer
    }

    /// `nil` when the source stands on no entry.
    fileprivate(set) final var entry: Entry?

    func next() throws(EngineError) {}
    func previous() throws(EngineError) {}
    func seekToLast() throws(EngineError) {}
    /// Moves to the first entry at or behind a key.
    func seek(to key: UnsafeRawBufferPointer) throws(EngineError) {}
    /// Moves to the last entry before a key.
    func seek(before key: UnsafeRawBufferPointer) throws(EngineError) {}
}

/// The visible entries of a memory index.
final class IndexSource: VisibleSource {
    private var cursor: MemoryIndexCursor

    init(_ index: MemoryIndex, at sequence: UInt64) {
        cursor = MemoryIndexCursor(index, at: sequence)
    }

    private func settle(_ found: Bool) {
        guard found else {
            entry = nil
            return
        }
        let version = cursor.version
        entry = Entry(
            key: cursor.key,
            sequence: version.sequence,
            isTombstone: version.isTombstone,
            value: version.value
        )
    }

    override func next() { settle(cursor.next()) }
    override func previous() { settle(cursor.previous()) }
    override func seekToLast() { settle(cursor.seekToLast()) }
    override func seek(to key: UnsafeRawBufferPointer) { settle(cursor.seek(to: key)) }
    override func seek(before key: UnsafeRawBufferPointer) { settle(cursor.seek(before: key)) }
}

/// The visible entries of a segment, or of several that lie one behind the other.
///
/// The versions of a key come newest first. Moving forward, the first one that may be seen is the
/// entry. Moving back, the oldest comes first, so the cursor goes on to the key before and the
/// entry is what was noted on the way.
final class SegmentSource: VisibleSource {
    private let sequence: UInt64
    private var cursor: SegmentCursor
    /// Whether the entry is where the cursor stands, and not behind it.
    private var isForward = true
    private var noted = Noted()

    /// The entry while moving back.
    private struct Noted: ~Copyable {
        var key = ByteBuffer()
        var owner: Block?
    }

    init(_ segments: [Segment], at sequence: UInt64) {
        self.sequence = sequence
        cursor = SegmentCursor(segments)
    }

    override func next() throws(EngineError) {
        guard entry != nil else { return }
        entry = nil
        if !isForward {
            try cursor.seek(to: noted.key.bytes, at: sequence)
            isForward = true
        }
        repeat { try cursor.next() } while cursor.isOnEntry && cursor.repeatsKey
        try settleForward()
    }

    override func previous() throws(EngineError) {
        guard let entry else { return }
        if isForward {
            noted.key.removeAll()
            noted.key.append(entry.key)
            self.entry = nil
            repeat {
                try cursor.previous()
            } while cursor.isOnEntry && cursor.key.isEqual(to: noted.key.bytes)
        }
        try settleBack()
    }

    override func seekToLast() throws(EngineError) {
        entry = nil
        try cursor.seekToLast()
        try settleBack()
    }

    override func seek(to key: UnsafeRawBufferPointer) throws(EngineError) {
        entry = nil
        // A version that is newer than the sequence is not wanted anyway.
        try cursor.seek(to: key, at: sequence)
        try settleForward()
    }

    override func seek(before key: UnsafeRawBufferPointer) throws(EngineError) {
        entry = nil
        try cursor.seek(before: key)
        try settleBack()
    }

    /// Goes forward to the first version that may be seen.
    private func settleForward() throws(EngineError) {
        isForward = true
        while cursor.isOnEntry, cursor.sequence > sequence { try cursor.next() }
        guard cursor.isOnEntry else { return }
        entry = Entry(
            key: cursor.key,
            sequence: cursor.sequence,
            isTombstone: cursor.isTombstone,
            value: cursor.value
        )
    }

    /// Notes the newest version that may be seen of the key where the cursor stands, or of the
    /// first one before it that has one, and goes on to the key before.
    private func settleBack() throws(EngineError) {
        isForward = false
        entry = nil
        while entry == nil, cursor.isOnEntry {
            noted.key.removeAll()
            noted.key.append(cursor.key)
            var found: Entry?
            while cursor.isOnEntry, cursor.key.isEqual(to: noted.key.bytes) {
                if cursor.sequence <= sequence {
                    noted.owner = cursor.owner
                    found = Entry(
                        key: noted.key.bytes,
                        sequence: cursor.sequence,
                        isTombstone: cursor.isTombstone,
                        value: cursor.value
                    )
                }
                try cursor.previous()
            }
            entry = found
        }
    }
}
