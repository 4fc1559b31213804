// What is written to segments: sorted entries, pulled one by one.

/// Sorted entries of which some were left out.
///
/// Thread safety: none; one owner.
class EntryStream {
    /// The entry at the front, `nil` at the end; valid until the stream moves.
    final var entry: SegmentEntry?
    /// Entries that were looked at, and those that were left out.
    final var readCount: UInt64 = 0
    fileprivate(set) final var droppedCount: UInt64 = 0
    /// The range tombstones that go along.
    final let ranges: RangeTombstones

    init(ranges: RangeTombstones) { self.ranges = ranges }

    /// Moves to the next entry; the first call moves to the first.
    func advance() throws(EngineError) {}
}

/// The entries of a memory index that must be kept.
final class IndexStream: EntryStream {
    private var cursor: MemoryIndexCursor
    private var version: IndexVersion?
    private var retention: VersionRetention
    private var hasBegun = false

    init(_ index: MemoryIndex, registered: [UInt64]) {
        cursor = MemoryIndexCursor(index, at: .max)
        let ranges = index.rangeTombstones
        retention = VersionRetention(registered: registered, ranges: ranges)
        super.init(ranges: ranges.retained(visible: .max, registered: registered))
    }

    override func advance() {
        entry = nil
        while entry == nil {
            if let older = version?.next {
                version = older
            } else {
                let found = hasBegun ? cursor.next() : cursor.seekToFirst()
                hasBegun = true
                guard found else { return }
                version = cursor.version
                retention.beginKey()
            }
            guard let version else { return }
            readCount += 1
            guard retention.keeps(version.sequence, of: cursor.key) else {
                droppedCount += 1
                continue
            }
            entry = SegmentEntry(
                key: cursor.key,
                sequence: version.sequence,
                flags: version.isTombstone ? VersionFlags.tombstone : 0,
                value: version.value
            )
        }
    }
}

/// All entries of several sources, in order.
///
/// Thread safety: none; one owner.
final class EntryMerge {
    /// A source, and a place in it.
    private final class Input {
        var cursor: SegmentCursor
        init(_ segments: [Segment]) { cursor = SegmentCursor(segments, fills: false) }
    }

    private let inputs: [Input]
    /// The input that stands at the front, and the one that comes next.
    private var leader: Int?
    private var runnerUp: Int?

    /// Each source is sorted, without overlap.
    init(_ sources: [[Segment]]) { inputs = sources.map(Input.init) }

    /// The entry at the front, `nil` at the end; valid until the merge moves.
    var entry: SegmentEntry? { leader.map { inputs[$0].cursor.entry } }

    func start() throws(EngineError) {
        for input in inputs { try input.cursor.seekToFirst() }
        elect()
    }

    func next() throws(EngineError) {
        guard let first = leader else { return }
        try inputs[first].cursor.next()
        guard inputs[first].cursor.isOnEntry else { return elect() }
        if let second = runnerUp, !precedes(first, second) { elect() }
    }

    private func elect() {
        leader = nil
        runnerUp = nil
        for index in inputs.indices where inputs[index].cursor.isOnEntry {
            if leader.map({ precedes(index, $0) }) ?? true {
                runnerUp = leader
                leader = index
            } else if runnerUp.map({ precedes(index, $0) }) ?? true {
                runnerUp = index
            }
        }
    }

    private func precedes(_ index: Int, _ other: Int) -> Bool {
        let left = inputs[index].cursor.key
        let right = inputs[other].cursor.key
        if left.precedes(right) { return true }
        return inputs[index].cursor.sequence > inputs[other].cursor.sequence
            && !right.precedes(left)
    }
}

/// The entries that a compaction keeps.
///
/// A tombstone goes when nothing is left that it hides: no older version of its key is kept here,
/// and no deeper level can have the key. As the versions of a key come newest first, the tombstones
/// wait until an older version is kept, or the key ends. A range tombstone goes when no registered
/// sequence is below it, so that nothing it hides is kept here, and no deeper level touches it.
final class CompactionStream: EntryStream {
    private let merge: EntryMerge
    private var retention: VersionRetention
    /// Levels behind the one that is written.
    private let deeper: [[Segment]]
    private var key = ByteBuffer()
    private var hasKey = false
    /// The sequences of tombstones of the key that wait, and of those to be handed out.
    private var waiting: [UInt64] = []
    private var ready: ArraySlice<UInt64> = []
    /// Whether the merge stands on what was handed out last.
    private var mustMove = false
    private var hasBegun = false
    /// The greatest sequence of a tombstone that was left out.
    private(set) var droppedTombstone: UInt64 = 0

    init(_ sources: [[Segment]], deeper: [[Segment]], registered: [UInt64]) {
        merge = EntryMerge(sources)
        self.deeper = deeper
        let sets = sources.joined().map(\.rangeTombstones).filter { !$0.isEmpty }
        let all = sets.isEmpty ? RangeTombstones.none : RangeTombstones(merging: sets)
        retention = VersionRetention(registered: registered, ranges: all)
        let kept = all.retained(visible: .max, registered: registered)
        var dropped: UInt64 = 0
        let needed = Self.needed(kept, deeper, registered, &dropped)
        super.init(ranges: needed)
        droppedTombstone = dropped
    }

    /// The range tombstones that still hide something, here or deeper.
    private static func needed(
        _ ranges: RangeTombstones,
        _ deeper: [[Segment]],
        _ registered: [UInt64],
        _ dropped: inout UInt64
    ) -> RangeTombstones {
        guard !ranges.isEmpty else { return ranges }
        var kept: [RangeTombstone] = []
        for fragment in ranges.fragments {
            let range = KeyRange(from: fragment.lower, to: fragment.upper)
            let isBottom = deeper.joined().allSatisfy { !$0.info.touches(range) }
            for sequence in fragment.sequences {
                if isBottom, registered.first.map({ $0 >= sequence }) ?? true {
                    dropped = max(dropped, sequence)
                } else {
                    kept.append(RangeTombstone(range, sequence: sequence))
                }
            }
        }
        return RangeTombstones(kept)
    }

    override func advance() throws(EngineError) {
        entry = nil
        if !hasBegun {
            hasBegun = true
            try merge.start()
        }
        if mustMove {
            mustMove = false
            try merge.next()
        }
        while entry == nil {
            if let sequence = ready.popFirst() {
                entry = tombstone(sequence)
            } else if let next = merge.entry {
                try take(next)
            } else {
                endKey()
                if ready.isEmpty { return }
            }
        }
    }

    /// Judges the merge's entry.
    private func take(_ next: SegmentEntry) throws(EngineError) {
        guard hasKey, key.bytes.isEqual(to: next.key) else {
            endKey()
            // What the last key left is handed out first.
            if ready.isEmpty { beginKey(next.key) }
            return
        }
        if !next.isTombstone, !waiting.isEmpty {
            // Judging twice would not be the same, so the tombstones are let go before.
            var probe = retention
            if probe.keeps(next.sequence, of: next.key) {
                ready = waiting[...]
                waiting.removeAll()
                return
            }
        }
        readCount += 1
        guard retention.keeps(next.sequence, of: next.key) else {
            droppedCount += 1
            try merge.next()
            return
        }
        if next.isTombstone {
            waiting.append(next.sequence)
            try merge.next()
        } else {
            entry = next
            mustMove = true
        }
    }

    private func beginKey(_ newKey: UnsafeRawBufferPointer) {
        key.removeAll()
        key.append(newKey)
        hasKey = true
        retention.beginKey()
    }

    /// Lets the tombstones of the key go, to the output or for good.
    private func endKey() {
        hasKey = false
        guard let newest = waiting.first else { return }
        if isAbsentDeeper(key.bytes) {
            droppedCount += UInt64(waiting.count)
            droppedTombstone = max(droppedTombstone, newest)
        } else {
            ready = waiting[...]
        }
        waiting.removeAll()
    }

    private func isAbsentDeeper(_ key: UnsafeRawBufferPointer) -> Bool {
        deeper.allSatisfy { level in
            let place = level.first(reaching: key)
            return place == level.count || !level[place].spans(key)
        }
    }

    private func tombstone(_ sequence: UInt64) -> SegmentEntry {
        SegmentEntry(
            key: key.bytes,
            sequence: sequence,
            flags: VersionFlags.tombstone,
            value: UnsafeRawBufferPointer(start: nil, count: 0)
        )
    }
}
