// A delta as files, for a copy that is too far behind for the log: a directory that is a store with
// the changed keys alone. Together with a store that ends where the delta begins it makes another
// one, which ends where the delta does.
//
// (1) Its segments have the newest version of each key that has changed, tombstones among them, and
//     for each range that was deleted a range tombstone right behind the place where the delta
//     begins: it hides what the other store has, and nothing that is newer.
// (2) Its `deltaHorizon` is that place: it knows of all deletions since.
// (3) It goes only with a store that ends exactly there. Everything of that is put into segments,
//     which stay as they are; what has changed is written into a new one, above them in level 0.
// (4) Tombstones with nothing to hide are left out then, as by a compaction; those of ranges stand
//     lower than they were written. So the other store knows of deletions from its end on alone: it
//     gives no delta that begins before.
// (5) Either store appears as a whole, see `StagedDirectory`. Its log begins behind its segments.
// (6) A delta is worth less than the writes of the store that it is made of: while it is written,
//     so much space stays free that these are not refused.

extension Engine {
    /// Makes a store of what has changed since a sequence; blocks.
    ///
    /// - Parameters:
    ///   - start: Where the delta begins.
    ///   - path: Must be absent, or an empty directory; its parent must exist.
    /// - Returns: The epochs of the history, and where the delta ends.
    /// - Throws: As ``delta(after:)`` and ``checkpoint(at:)-(_)``; `noSpace` when less than twice
    ///   ``Options/lowSpaceLimit`` would stay free. Nothing is left of it then.
    package func copyChanges(
        after start: UInt64,
        to path: String
    ) throws(EngineError) -> (epochs: [EpochEntry], end: Position) {
        let pipeline = try writable()
        let delta = try Delta(self, after: start)
        let (end, stamp) = (delta.position, delta.lastStamp)
        try pipeline.wait(for: end.sequence, .disk)
        let epochs = pipeline.epochs.filter { $0.lastSequenceBefore < end.sequence }
        let staged = try StagedDirectory(path: path, in: pipeline.environment.fileSystem)
        do throws(EngineError) {
            let spare = SpareSpace(staged.directory, pipeline.maintenance.limits)
            try spare.check()
            let output = StoreOfSegments(
                directory: staged.directory,
                historyID: historyID,
                numbers: SegmentNumbers(next: 1),
                pace: { _ throws(EngineError) in try spare.check() }
            )
            let segments = try output.write(
                DeltaStream(delta, behind: start),
                segmentSize: pipeline.maintenance.limits.compaction.segmentSize
            )
            try spare.check()
            // They do not overlap, and stand in the order of their keys.
            let placed = segments.map { LevelSegment(level: 1, info: $0.info) }
            try output.finish(
                placed,
                upTo: end,
                epochs: epochs,
                deltaHorizon: start,
                memberID: pipeline.environment.uniqueID(),
                lastStamp: stamp
            )
        } catch {
            staged.discard()
            throw error
        }
        try staged.commit()
        return (epochs, end)
    }

    /// Makes a store of this one and of what has changed since; blocks. Nobody may write meanwhile.
    ///
    /// - Parameters:
    ///   - changes: The directory that ``copyChanges(after:to:)`` made, behind this store's end.
    ///   - path: Must be absent, or an empty directory; its parent must exist.
    /// - Returns: Names the new directory.
    /// - Throws: ``EngineError`` with code `diverged` when the two do not go together; as
    ///   ``checkpoint(at:)-(_)`` otherwise.
    package func combine(
        with changes: String,
        at path: String
    ) throws(EngineError) -> UniqueID {
        try flush()
        return try withImage { image, environment throws(EngineError) in
            let changes = try StoreOfChanges(changes, in: environment.fileSystem)
            let view = readState.view
            guard view.active.isEmpty, view.sealed.isEmpty else {
                throw .invalidArgument("combining a store and changes: somebody writes meanwhile")
            }
            try changes.check(image)
            let memberID = environment.uniqueID()
            let staged = try StagedDirectory(path: path, in: environment.fileSystem)
            do throws(EngineError) {
                try changes.combine(with: image, view.version, in: staged.directory, memberID)
            } catch {
                staged.discard()
                throw error
            }
            try staged.commit()
            return memberID
        }
    }
}

/// Sees to it that what is written for others leaves room for the store's own writes, flushes and
/// compactions: twice what writes need, so that those do not come near their limit at once.
///
/// Thread safety: immutable.
private struct SpareSpace: Sendable {
    private let directory: StoreDirectory
    private let limit: UInt64

    init(_ directory: StoreDirectory, _ limits: Maintenance.Limits) {
        self.directory = directory
        let (limit, overflow) = limits.lowSpaceLimit.multipliedReportingOverflow(by: 2)
        self.limit = overflow ? .max : limit
    }

    /// Throws `noSpace` when too little is free. A system that does not say how much is free
    /// refuses nothing before the disk is full.
    func check() throws(EngineError) {
        let free: UInt64
        do throws(EngineError) { free = try directory.freeSpace() } catch { return }
        guard free >= limit else {
            throw EngineError(
                .noSpace,
                "copying what has changed: \(free) bytes are free, at least \(limit) must stay so"
            )
        }
    }
}

/// The entries of a delta.
private final class DeltaStream: EntryStream {
    private var delta: Delta

    init(_ delta: consuming Delta, behind start: UInt64) {
        let ranges = delta.deletedRanges.map { RangeTombstone($0, sequence: start + 1) }
        self.delta = delta
        super.init(ranges: RangeTombstones(ranges))
    }

    override func advance() throws(EngineError) {
        entry = nil
        guard try delta.next() else { return }
        readCount += 1
        entry = delta.segmentEntry
    }
}

/// A directory that becomes a store with everything in segments.
private struct StoreOfSegments {
    let directory: StoreDirectory
    let historyID: UniqueID
    let numbers: SegmentNumbers
    /// See ``SegmentOutput/pace``.
    var pace: @Sendable (Int) throws(EngineError) -> Void = { _ throws(EngineError) in }

    /// Writes entries as segments of about a size, in the order of their keys; `nil` for one.
    func write(
        _ stream: EntryStream,
        segmentSize: UInt64?
    ) throws(EngineError) -> [Segment] {
        let output = SegmentOutput(
            to: directory,
            historyID: historyID,
            numbers: numbers,
            segmentSize: segmentSize,
            pace: pace
        )
        return try output.write(stream)
    }

    /// Makes the directory a store that ends at a position.
    func finish(
        _ segments: [LevelSegment],
        upTo end: Position,
        epochs: [EpochEntry],
        deltaHorizon: UInt64,
        memberID: UniqueID,
        lastStamp: UInt64
    ) throws(EngineError) {
        let hash = end.logHash ?? 0
        var edit = VersionEdit()
        edit.added = segments
        edit.epochs = epochs
        edit.flushed = FlushMark(epoch: end.epoch, sequence: end.sequence, logHash: hash)
        edit.logStart = LogEnd(fileNumber: 1, length: 0, lastSequence: end.sequence, logHash: hash)
        edit.deltaHorizon = deltaHorizon
        edit.nextSegmentNumber = numbers.next
        var state = ManifestState()
        do throws(DecodingFailure) {
            try state.apply(edit)
        } catch {
            throw EngineError(.corruption, "making a store of segments: \(error.reason)")
        }
        // Every name is durable before the mark says that this is a store.
        try directory.syncEntries()
        let store = StoreAssembly(
            historyID: historyID,
            memberID: memberID,
            state: state,
            end: state.logStart,
            lastStamp: lastStamp
        )
        try store.finish(in: directory)
    }
}

/// The directory of a delta.
private struct StoreOfChanges {
    private let mark: StoreMark
    private let tree: OpenedTree

    init(_ path: String, in fileSystem: any FileSystem) throws(EngineError) {
        let directory = try StoreDirectory.open(
            path: path,
            in: fileSystem,
            allowsSharedWriting: true
        )
        mark = try StoreMark(in: directory)
        tree = try OpenedTree(directory: directory, mark: mark, cache: BlockCache(budget: 0))
    }

    private var end: Position {
        let flushed = tree.state.flushed
        return Position(
            epoch: flushed.epoch,
            sequence: flushed.sequence,
            logHash: flushed.logHash
        )
    }

    /// Refuses changes that begin anywhere but where a store ends.
    func check(_ base: StoreImage) throws(EngineError) {
        let start = tree.state.deltaHorizon
        let last = base.log.end.lastSequence
        guard mark.historyID == base.historyID, start == last, end.sequence >= start else {
            throw EngineError(
                .diverged,
                "combining a store and changes: the store ends at \(last), the changes begin at "
                    + "\(start)",
                sequence: last
            )
        }
    }

    /// Fills a directory with what a store and the changes are together.
    func combine(
        with base: StoreImage,
        _ version: Version,
        in target: StoreDirectory,
        _ memberID: UniqueID
    ) throws(EngineError) {
        for info in base.segments { try Self.take(info, of: base, to: target) }
        let output = StoreOfSegments(
            directory: target,
            historyID: base.historyID,
            numbers: SegmentNumbers(next: base.state.nextSegmentNumber)
        )
        let stream = CompactionStream(
            Self.rows(tree.version),
            deeper: Self.rows(version),
            registered: []
        )
        // Of level 0 each segment counts, however small: many of them would hold up whoever writes.
        let written = try output.write(stream, segmentSize: nil)
        let expected = tree.state.levels.joined().reduce(0) { $0 + $1.entryCount }
        guard stream.readCount == expected else {
            throw .corruption(
                "combining a store and changes: \(stream.readCount) entries were read, "
                    + "\(expected) are in the segments",
                file: FileName.store.description,
                offset: 0
            )
        }
        var placed = written.map { LevelSegment(level: 0, info: $0.info) }
        for (level, segments) in base.state.levels.enumerated() {
            placed += segments.map { LevelSegment(level: level, info: $0) }
        }
        try output.finish(
            placed,
            upTo: end,
            epochs: tree.state.epochs,
            deltaHorizon: end.sequence,
            memberID: memberID,
            lastStamp: max(base.log.lastStamp, mark.lastStamp)
        )
    }

    /// Segments that do not overlap within a row, in the order of their keys.
    private static func rows(_ version: Version) -> [[Segment]] {
        let levels = version.levels
        return (levels[0].map { [$0] } + levels.dropFirst()).filter { !$0.isEmpty }
    }

    /// Gives a segment a further name in another directory, or copies it.
    private static func take(
        _ info: SegmentInfo,
        of base: StoreImage,
        to target: StoreDirectory
    ) throws(EngineError) {
        let name = FileName.segment(info.number)
        let isLinked = try target.link(name, of: base.directory)
        if isLinked { return }
        let file = try base.directory.open(name, for: .read)
        try info.copy(file, historyID: base.historyID, to: target, as: name)
    }
}
