// What has changed since a sequence, without the log: the newest version of each key, from indexes
// and segments. It brings a copy that is exact at the one sequence to another that is exact at a
// later one; it is not the history in between: of several writes of a key the last one is in it,
// and a key that came and went may be in it as deleted.
//
// (1) First all of `deletedRanges` are deleted, then each key is set or deleted. A range delete is
//     newer than everything that the copy has, and a key that it hides is not handed out.
// (2) Tombstones must still be there back to the sequence: compaction drops them once nothing in
//     the store is left to hide, and records the greatest sequence of one that it has dropped.
// (3) The view is taken once and kept to the end: what it holds is complete for the snapshot's
//     sequence, and a compaction that goes on meanwhile drops nothing from it.
// (4) Segments without a version behind the sequence are not read.

/// The keys that have changed since a sequence, with their newest values; moves forward.
///
/// Thread safety: none; a cursor has one owner, who may send it on.
public struct Delta: ~Copyable {
    /// What a copy is exact at, once it has taken everything in.
    public let position: Position
    /// The ranges to delete first, in order.
    public let deletedRanges: [KeyRange]

    /// No stamp up to ``position`` is above it.
    let lastStamp: UInt64
    private let start: UInt64
    /// Keeps the versions that belong to ``position``.
    private let snapshot: Snapshot
    private let tombstones: RangeTombstones
    /// The view of the entries, which they borrow from.
    private let view: ReadView
    private var entries: MergeCursor
    private var hasBegun = false

    init(_ engine: Engine, after start: UInt64) throws(EngineError) {
        let pipeline = try engine.writable()
        let (snapshot, position, stamp) = try pipeline.atCommitBoundary { position in
            (Snapshot(engine), position, pipeline.sequencer.lastStamp)
        }
        // The view first: whatever it lacks, the horizon then tells of.
        let view = engine.readState.view
        let horizon = pipeline.maintenance.lock.with { pipeline.maintenance.state.deltaHorizon }
        guard start >= horizon || start >= position.sequence else {
            throw EngineError(
                .trimmed,
                "reading what has changed: deletions before \(horizon) are not known any more",
                sequence: horizon
            )
        }
        guard start <= position.sequence else {
            throw EngineError(
                .ahead,
                "reading what has changed: \(start) is behind the last write, \(position.sequence)",
                sequence: position.sequence
            )
        }
        self.start = start
        lastStamp = stamp
        self.snapshot = snapshot
        self.position = position
        tombstones = view.rangeTombstones
        deletedRanges = tombstones.deleted(after: start, through: position.sequence)
        self.view = view.changed(after: start)
        entries = MergeCursor(self.view, at: position.sequence)
    }

    /// Moves to the next key that has changed.
    ///
    /// - Returns: `false` when there is none.
    /// - Throws: ``EngineError`` with code `corruption` or `io`; what was taken in before is then
    ///   no exact copy of anything.
    public mutating func next() throws(EngineError) -> Bool {
        if hasBegun {
            try entries.next()
        } else {
            hasBegun = true
            try entries.seek(to: UnsafeRawBufferPointer(start: nil, count: 0))
        }
        while let entry = entries.entry {
            if entry.sequence > start, !isHidden(entry) { return true }
            try entries.next()
        }
        return false
    }

    private func isHidden(_ entry: VisibleSource.Entry) -> Bool {
        guard !tombstones.isEmpty else { return false }
        return entry.sequence < tombstones.newest(covering: entry.key, at: position.sequence)
    }

    /// The key where the delta stands; borrowed until it moves.
    public var key: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            _overrideLifetime(
                Span(_unsafeElements: entry.key.bindMemory(to: UInt8.self)),
                borrowing: self
            )
        }
    }

    /// The key's value, empty for a deleted one; borrowed until the delta moves.
    public var value: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            _overrideLifetime(
                Span(_unsafeElements: entry.value.bindMemory(to: UInt8.self)),
                borrowing: self
            )
        }
    }

    /// Whether the key is to be deleted.
    public var isDeleted: Bool { entry.isTombstone }

    /// The sequence of the write that set or deleted the key.
    public var sequence: UInt64 { entry.sequence }

    /// Where the delta stands, as segments have it; borrowed until it moves.
    var segmentEntry: SegmentEntry {
        SegmentEntry(
            key: entry.key,
            sequence: entry.sequence,
            flags: entry.isTombstone ? VersionFlags.tombstone : 0,
            value: entry.value
        )
    }

    private var entry: VisibleSource.Entry {
        guard hasBegun, let entry = entries.entry else {
            preconditionFailure("the delta stands on no key")
        }
        return entry
    }
}

extension Engine {
    /// What has changed since a sequence, for a copy that was exact then, also when the log does
    /// not go back that far: the newest value of each key, and not each write.
    ///
    /// - Throws: ``EngineError`` with code `trimmed` when deletions behind the sequence may be
    ///   forgotten, so that only a whole copy helps; `ahead` when it is behind the last write;
    ///   `corruption`, `io`, `readOnly`, `poisoned` or `closed`.
    public func delta(after sequence: UInt64) throws(EngineError) -> Delta {
        try Delta(self, after: sequence)
    }
}

extension RangeTombstones {
    /// The ranges that were deleted behind a sequence, up to another.
    fileprivate func deleted(after start: UInt64, through end: UInt64) -> [KeyRange] {
        guard !isEmpty else { return [] }
        return fragments.filter { fragment in
            fragment.sequences.contains { $0 > start && $0 <= end }
        }.map { KeyRange(from: $0.lower, to: $0.upper) }
    }
}

extension ReadView {
    /// The view without the segments that hold nothing newer than a sequence.
    fileprivate func changed(after sequence: UInt64) -> ReadView {
        let levels = version.levels.map { level in
            level.filter { $0.info.maxSequence > sequence }
        }
        return ReadView(active: active, sealed: sealed, version: Version(levels: levels))
    }
}
