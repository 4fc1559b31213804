// Copies out of a store, however damaged, every key and value that can be read and verified.
//
// 1. The source is only read. STORE and the manifest are used when they are whole; without them all
//    segments are, and the files say themselves what history they are of.
// 2. Of several versions of a key the one with the greatest sequence wins, from whatever file it
//    comes; tombstones hide what is older and are not copied. Records behind a hole of the log are
//    copied too: what the hole held is missing, and told.
// 3. The new store has a history of its own, as it is no state that the old one must have had.
//    Its segments keep the old sequences. STORE is written last: a salvage that was cut short has
//    made no store.
// 4. Memory: the records of one index, a block of each row of segments, and the range tombstones.

/// What a salvage copied, and what it could not.
package struct SalvageReport: Sendable {
    package let defects: [StoreDefect]
    package let losses: [StoreLoss]
    package let historyID: UniqueID
    package let keys: UInt64
    package let segments: Int
    package let segmentBytes: UInt64
    package let lastSequence: UInt64
}

/// Copies a store out of a directory.
package struct StoreSalvage {
    private let source: StoreDirectory
    private let environment: Environment
    private let memoryMax: Int
    private let survey: StoreSurvey

    /// Reads a store. The caller holds its lock until the salvage is done.
    ///
    /// - Throws: ``EngineError`` with code `notAStore` when no file says what it is; `io`.
    package init(
        _ source: StoreDirectory,
        environment: Environment,
        memoryMax: Int = 64 << 20
    ) throws(EngineError) {
        self.source = source
        self.environment = environment
        self.memoryMax = memoryMax
        survey = try StoreSurvey(source)
    }

    /// Writes a new store into a directory that is empty or is made; its parent must exist.
    ///
    /// - Throws: ``EngineError`` with code `invalidArgument` when the directory is not empty, `io`
    ///   or `noSpace`.
    package func run(to path: String) throws(EngineError) -> SalvageReport {
        let target = try Self.makeVacant(path, environment.fileSystem)
        let lock = try DirectoryLock.acquire(in: target, exclusive: true)
        let mark = StoreMark(
            historyID: environment.uniqueID(),
            memberID: environment.uniqueID()
        )
        let numbers = SegmentNumbers(next: 1)
        let temporary = try collect(target, mark.historyID, numbers)
        let sources = try openGood() + temporary
        let merged = try SegmentMerge.run(
            sources,
            SegmentOutput(
                to: target,
                historyID: mark.historyID,
                numbers: numbers,
                segmentSize: CompactionLimits().segmentSize
            )
        )
        let state = try newState(merged.map(\.info), numbers)
        let markFile = StoreMarkFile(directory: target, mark: mark)
        let writer = ManifestWriter(directory: target, markFile: markFile, state: state)
        let floor = state.logStart
        try writer.rewrite { $0.floor = floor }
        try writer.close()
        try target.durableRemove(temporary.map { .segment($0.info.number) })
        try lock.release()
        return SalvageReport(
            defects: survey.defects,
            losses: losses,
            historyID: mark.historyID,
            keys: merged.reduce(0) { $0 + $1.info.entryCount - $1.info.tombstoneCount },
            segments: merged.count,
            segmentBytes: merged.reduce(0) { $0 + $1.info.size },
            lastSequence: state.flushed.sequence
        )
    }

    /// What could not be copied. Records behind a hole were.
    private var losses: [StoreLoss] { survey.losses.filter { $0.kind != .behindHole } }

    /// Makes a directory that is absent, or takes one that is empty.
    private static func makeVacant(
        _ path: String,
        _ fileSystem: any FileSystem
    ) throws(EngineError) -> StoreDirectory {
        do throws(EngineError) {
            let listing = try StoreDirectory.open(path: path, in: fileSystem).list()
            let others = listing.known.map(\.description) + listing.unknown
            guard others.allSatisfy({ $0 == "lost+found" }) else {
                throw .invalidArgument("salvaging: \(path) is not empty, it has \(others[0])")
            }
        } catch {
            guard error.isMissingFile else { throw error }
        }
        return try StoreDirectory.make(path: path, in: fileSystem)
    }

    /// Copies what can be read of damaged segments, and puts the log's records into segments.
    private func collect(
        _ target: StoreDirectory,
        _ historyID: UniqueID,
        _ numbers: SegmentNumbers
    ) throws(EngineError) -> [Segment] {
        let copier = SegmentCopier(
            source: source,
            sourceHistoryID: survey.historyID,
            target: target,
            historyID: historyID,
            numbers: numbers
        )
        var segments: [Segment] = []
        for segment in survey.segments where !segment.isGood && segment.readableCount > 0 {
            segments.append(try copier.copy(segment))
        }
        let output = SegmentOutput(
            to: target,
            historyID: historyID,
            numbers: numbers,
            segmentSize: nil
        )
        let spill = LogSpill(output, memoryMax: memoryMax)
        try survey.log.records(after: survey.replayStart, acrossHoles: true) {
            head,
            operations throws(EngineError) in
            try spill.add(head, operations)
        }
        try spill.finish()
        return segments + spill.segments
    }

    private func openGood() throws(EngineError) -> [Segment] {
        var segments: [Segment] = []
        for segment in survey.segments {
            guard segment.isGood, let info = segment.info else { continue }
            let file = try source.open(segment.name, for: .read)
            segments.append(
                try Segment(info, file: file, historyID: survey.historyID, cache: nil)
            )
        }
        return segments
    }

    /// A history that begins with what was salvaged, as if one epoch had written it.
    private func newState(
        _ segments: [SegmentInfo],
        _ numbers: SegmentNumbers
    ) throws(EngineError) -> ManifestState {
        let epoch = Epoch(number: 1, starter: environment.entropy())
        let last = max(
            survey.segmentSequence,
            survey.log.end.sequence,
            survey.log.remainders.map(\.sequences.upperBound).max() ?? 0
        )
        let hash = LogHash.begin(epoch, after: 0)
        let level = SegmentMerge.level(for: segments.reduce(0) { $0 + $1.size })
        var edit = VersionEdit()
        edit.added = segments.map { LevelSegment(level: level, info: $0) }
        edit.epochs = [EpochEntry(epoch: epoch, lastSequenceBefore: 0, logHashBefore: 0)]
        edit.flushed = FlushMark(epoch: epoch, sequence: last, logHash: hash)
        edit.logStart = LogEnd(fileNumber: 1, length: 0, lastSequence: last, logHash: hash)
        edit.deltaHorizon = last
        edit.nextSegmentNumber = numbers.next
        var state = ManifestState()
        do throws(DecodingFailure) {
            try state.apply(edit)
        } catch {
            throw EngineError(.corruption, "salvaging: \(error.reason)")
        }
        return state
    }
}
