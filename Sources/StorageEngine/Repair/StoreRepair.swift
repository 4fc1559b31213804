// Repairs a store in its place.
//
// 1. Nothing that the store consists of is changed before the new state is durable: damaged bytes
//    are copied to `quarantine/`, and new segments get new numbers. STORE is then replaced by one
//    that names a new manifest; only then damaged files and a log that was given up are removed.
//    So a crash at any step leaves the damaged store or the repaired one, and another repair
//    finishes what this one began.
// 2. A damaged segment is dropped when the log still has all of its records, which are read again;
//    otherwise a copy without the damaged blocks takes its place.
// 3. A log that is damaged, or read again, is put into segments up to the first record that is
//    missing behind what segments hold, and begins anew. What lies behind is never part of the
//    store.
// 4. Without a manifest nothing says which segments are live and how their levels order them: all
//    of them are merged by sequence.
// 5. When something is lost, the store is another member, and an epoch begins: no position of a
//    replica names the history that is left as if it were whole; see `docs/decisions`.

/// What a repair does, or would do.
package struct RepairReport: Sendable {
    package enum ActionKind: String, Sendable {
        /// Bytes of a file are copied to `quarantine/`.
        case quarantine
        /// A segment is replaced by a copy of what can be read of it.
        case copySegment
        /// A segment is dropped: the log has its records.
        case rereadSegment
        /// A segment is dropped: nothing of it can be read.
        case dropSegment
        /// All segments are merged, as nothing says how they belong together.
        case mergeSegments
        /// The records of the log are put into segments, and the log begins anew.
        case restartLog
        /// Nothing of the log is used from here on.
        case cutLog
        /// STORE is written anew.
        case writeStore
        /// The store becomes another member, and an epoch begins.
        case beginEpoch
    }

    package struct Action: Sendable, Hashable {
        package let kind: ActionKind
        package let file: String
        package let offset: UInt64
        /// Bytes from the offset on; `nil` for all of them.
        package let length: UInt64?
    }

    package let defects: [StoreDefect]
    package let actions: [Action]
    package let losses: [StoreLoss]
    /// Where the history ends, before and afterwards.
    package let lastSequence: UInt64

    /// Whether anything is wrong.
    package var isNeeded: Bool { !defects.isEmpty }
}

/// Finds out what is wrong with a store, and repairs it.
package struct StoreRepair {
    private let directory: StoreDirectory
    private let environment: Environment
    private let survey: StoreSurvey
    private let memoryMax: Int

    /// Reads a store. The caller holds its lock until the repair is done.
    ///
    /// - Parameters:
    ///   - directory: The store's directory.
    ///   - environment: Where random numbers come from.
    ///   - memoryMax: The bytes of records that are held in memory at a time.
    /// - Throws: ``EngineError`` with code `notAStore` or `io`; `unsupportedFormat` when a newer
    ///   program may have written some of it.
    package init(
        _ directory: StoreDirectory,
        environment: Environment,
        memoryMax: Int = 64 << 20
    ) throws(EngineError) {
        self.directory = directory
        self.environment = environment
        self.memoryMax = memoryMax
        survey = try StoreSurvey(directory)
        if let defect = survey.unsupported {
            throw EngineError(
                .unsupportedFormat,
                defect.message + "; nothing is repaired, salvage copies out what can be read",
                file: defect.file,
                offset: defect.offset
            )
        }
    }

    private var losesData: Bool { !survey.losses.isEmpty }
    private var rereadable: Set<UInt64> { Set(survey.rereadable.map(\.number)) }
    /// Whether the log's records go into segments, and the log begins anew.
    private var restartsLog: Bool {
        losesData || !survey.log.defects.isEmpty || survey.tree == nil || !rereadable.isEmpty
    }

    /// Segments that are replaced by what can be read of them.
    private var copied: [SurveyedSegment] {
        let reread = rereadable
        return survey.segments.filter {
            !$0.isGood && $0.readableCount > 0 && !reread.contains($0.number)
        }
    }

    // MARK: - Report

    package var report: RepairReport {
        RepairReport(
            defects: survey.defects,
            actions: survey.defects.isEmpty ? [] : actions,
            losses: survey.defects.isEmpty ? [] : survey.losses,
            lastSequence: lastSequence
        )
    }

    private var actions: [RepairReport.Action] {
        var actions: [RepairReport.Action] = []
        func add(
            _ kind: RepairReport.ActionKind,
            _ file: String,
            _ offset: UInt64 = 0,
            _ length: UInt64? = nil
        ) {
            actions.append(
                RepairReport.Action(kind: kind, file: file, offset: offset, length: length)
            )
        }
        for stretch in quarantined {
            let range = stretch.range
            let size = range.upperBound == .max ? nil : range.upperBound - range.lowerBound
            add(.quarantine, stretch.name.description, range.lowerBound, size)
        }
        let reread = rereadable
        for segment in survey.segments where !segment.isGood {
            let isReread = reread.contains(segment.number)
            let isCopied = !isReread && segment.readableCount > 0
            add(
                isReread ? .rereadSegment : isCopied ? .copySegment : .dropSegment,
                segment.name.description
            )
        }
        let manifest = FileName.manifest(max(survey.mark?.manifest ?? 1, 1)).description
        if survey.tree == nil { add(.mergeSegments, manifest) }
        if let cut = survey.log.cut { add(.cutLog, cut.file, cut.offset) }
        if restartsLog {
            add(.restartLog, FileName.log(max(survey.log.lastFileNumber, 1)).description)
        }
        if survey.mark == nil { add(.writeStore, FileName.store.description) }
        if losesData { add(.beginEpoch, FileName.store.description) }
        return actions
    }

    // MARK: - Repair

    /// Repairs the store. Nothing is done when nothing is wrong.
    ///
    /// - Throws: ``EngineError`` with code `io` or `noSpace`; the store is damaged as before then,
    ///   or repaired.
    package func apply() throws(EngineError) {
        guard !survey.defects.isEmpty else { return }
        for stretch in quarantined { try quarantine(stretch) }
        let numbers = SegmentNumbers(next: survey.nextSegmentNumber)
        let made = try makeSegments(numbers)
        let state = try newState(made, numbers)
        let markFile = StoreMarkFile(directory: directory, mark: oldMark)
        let writer = ManifestWriter(directory: directory, markFile: markFile, state: state)
        let memberID =
            losesData ? environment.uniqueID() : survey.memberID ?? environment.uniqueID()
        let (restarts, lastStamp) = (restartsLog, survey.log.lastStamp)
        try writer.rewrite { mark in
            mark = StoreMark(
                historyID: mark.historyID,
                memberID: memberID,
                floor: restarts ? state.logStart : mark.floor,
                manifest: mark.manifest,
                lastStamp: max(mark.lastStamp, lastStamp)
            )
        }
        try writer.close()
        try directory.durableRemove(removed(made))
    }

    private var oldMark: StoreMark {
        survey.mark
            ?? StoreMark(
                historyID: survey.historyID,
                memberID: survey.memberID ?? environment.uniqueID()
            )
    }

    /// What goes to quarantine.
    private var quarantined: [LogScan.Stretch] {
        let segments = survey.segments.filter { !$0.isGood }
        // Of a misplaced one, the file under its own name too.
        let names = segments.flatMap { [$0.name, .segment($0.number)] } + survey.damagedFiles
        let whole = Set(names).sorted().map { LogScan.Stretch(name: $0, range: 0..<(.max)) }
        return whole + (restartsLog ? survey.log.stretches : [])
    }

    private func quarantine(_ stretch: LogScan.Stretch) throws(EngineError) {
        guard let file = try directory.openIfPresent(stretch.name, for: .read) else { return }
        let size = try file.size()
        let range = stretch.range.clamped(to: 0..<size)
        guard !range.isEmpty || stretch.range.lowerBound == 0 else { return }
        try directory.saveToQuarantine(range, of: file)
    }

    /// Segments that a repair made, by level, and those that were needed on the way.
    private struct MadeSegments {
        var added: [LevelSegment] = []
        var temporary: [FileName] = []
    }

    private func makeSegments(_ numbers: SegmentNumbers) throws(EngineError) -> MadeSegments {
        let copier = SegmentCopier(
            source: directory,
            sourceHistoryID: survey.historyID,
            target: directory,
            historyID: survey.historyID,
            numbers: numbers
        )
        var made = MadeSegments()
        var open: [Segment] = []
        for segment in copied {
            let copy = try copier.copy(segment)
            open.append(copy)
            made.added.append(LevelSegment(level: segment.level ?? 0, info: copy.info))
        }
        if restartsLog {
            let spill = LogSpill(output(numbers, segmentSize: nil), memoryMax: memoryMax)
            try survey.log.records(after: survey.replayStart, acrossHoles: false) {
                head,
                operations throws(EngineError) in
                try spill.add(head, operations)
            }
            try spill.finish()
            open += spill.segments
            made.added += spill.segments.map { LevelSegment(level: 0, info: $0.info) }
        }
        guard survey.tree == nil else { return made }
        return try merge(open, numbers)
    }

    /// Merges all segments, as nothing says how they belong together.
    private func merge(
        _ made: [Segment],
        _ numbers: SegmentNumbers
    ) throws(EngineError) -> MadeSegments {
        var sources = made
        for segment in survey.segments {
            guard segment.isGood, let info = segment.info else { continue }
            let file = try directory.open(segment.name, for: .read)
            sources.append(
                try Segment(info, file: file, historyID: survey.historyID, cache: nil)
            )
        }
        let merged = try SegmentMerge.run(
            sources,
            output(numbers, segmentSize: CompactionLimits().segmentSize)
        )
        let level = SegmentMerge.level(for: merged.reduce(0) { $0 + $1.info.size })
        return MadeSegments(
            added: merged.map { LevelSegment(level: level, info: $0.info) },
            temporary: sources.map { .segment($0.info.number) }
        )
    }

    private func output(_ numbers: SegmentNumbers, segmentSize: UInt64?) -> SegmentOutput {
        SegmentOutput(
            to: directory,
            historyID: survey.historyID,
            numbers: numbers,
            segmentSize: segmentSize
        )
    }

    /// What is not needed any more.
    private func removed(_ made: MadeSegments) -> [FileName] {
        let segments = survey.segments.filter { !$0.isGood }
        return segments.flatMap { [$0.name, .segment($0.number)] } + made.temporary
            + (restartsLog ? survey.log.files : [])
    }

    // MARK: - The new state

    /// Where the history ends. Without a manifest, unsynced records may be in segments.
    private var lastSequence: UInt64 {
        max(survey.log.end.sequence, survey.tree == nil ? survey.segmentSequence : 0)
    }

    private func newState(
        _ made: MadeSegments,
        _ numbers: SegmentNumbers
    ) throws(EngineError) -> ManifestState {
        var edit = survey.tree?.snapshot ?? VersionEdit()
        let bad = Set(survey.segments.filter { !$0.isGood }.map(\.number))
        edit.added = edit.added.filter { !bad.contains($0.info.number) } + made.added
        edit.nextSegmentNumber = numbers.next
        if restartsLog { setMarks(&edit) }
        var state = ManifestState()
        do throws(DecodingFailure) {
            try state.apply(edit)
        } catch {
            throw EngineError(
                .corruption,
                "repairing the store: \(error.reason); salvage copies out what can be read",
                file: FileName.manifest(max(survey.mark?.manifest ?? 1, 1)).description,
                offset: 0
            )
        }
        return state
    }

    /// The marks of a store whose records are all in segments.
    private func setMarks(_ edit: inout VersionEdit) {
        let log = survey.log
        let sequence = lastSequence
        var epoch = log.epoch
        var hash = sequence == log.end.sequence ? log.end.logHash : nil
        edit.epochs = log.epochs
        edit.deltaHorizon = survey.tree?.deltaHorizon ?? survey.clues.deltaHorizon
        if losesData {
            let isInside = survey.losses.contains(where: \.isInside)
            // No replica's position has a hash that is drawn at random.
            let before = isInside ? environment.entropy() : hash ?? environment.entropy()
            epoch = Epoch(number: log.knownEpoch + 1, starter: environment.entropy())
            edit.epochs.append(
                EpochEntry(epoch: epoch, lastSequenceBefore: sequence, logHashBefore: before)
            )
            hash = LogHash.begin(epoch, after: before)
            if isInside { edit.deltaHorizon = sequence }
        }
        edit.flushed = FlushMark(epoch: epoch, sequence: sequence, logHash: hash ?? 0)
        edit.logStart = LogEnd(
            fileNumber: max(log.lastFileNumber, 1),
            length: 0,
            lastSequence: sequence,
            logHash: hash ?? 0
        )
    }
}
