/// A store as it is found, perhaps damaged: every file that counts was read as far as possible.
///
/// It changes nothing. The caller holds the store's lock.
struct StoreSurvey {
    /// What the store is, as STORE says, or else its files.
    let historyID: UniqueID
    let memberID: UniqueID?
    /// `nil` when STORE is missing or damaged.
    let mark: StoreMark?
    /// `nil` when the manifest is missing or damaged.
    let tree: ManifestState?
    /// What a damaged manifest still says.
    let clues: ManifestClues
    let segments: [SurveyedSegment]
    let log: LogScan
    let defects: [StoreDefect]
    /// Damaged files that are neither segments nor log files.
    let damagedFiles: [FileName]
    /// Above the number of every segment file that there is or was.
    let nextSegmentNumber: UInt64

    /// Reads a store.
    ///
    /// - Throws: ``EngineError`` with code `notAStore` when there is nothing of one, or `io`.
    init(_ directory: StoreDirectory) throws(EngineError) {
        let identity = try StoreIdentity(directory)
        historyID = identity.historyID
        memberID = identity.memberID
        mark = identity.mark
        var defects = identity.defects
        var damagedFiles: [FileName] = identity.defects.isEmpty ? [] : [.store]
        let manifest = try SurveyedManifest(directory, identity)
        tree = manifest.state
        clues = manifest.clues
        defects += manifest.defects
        if manifest.state == nil { damagedFiles += manifest.files }
        let survey = try SegmentSurvey(directory, historyID: identity.historyID)
        var segments: [SurveyedSegment] = []
        var next = manifest.clues.nextSegmentNumber
        for case .segment(let number) in try directory.list().known {
            next = max(next, number + 1)
            guard manifest.state == nil, !manifest.clues.dead.contains(number) else { continue }
            if let found = try survey.examine(number) { segments.append(found) }
        }
        for named in manifest.state?.snapshot.added ?? [] {
            next = max(next, named.info.number + 1)
            segments.append(try survey.examine(named))
        }
        self.segments = segments
        nextSegmentNumber = next
        defects += segments.flatMap(\.defects)
        log = try Self.readLog(directory, identity, manifest)
        self.defects = defects + log.defects
        self.damagedFiles = damagedFiles.filter { name in
            do throws(EngineError) {
                return try directory.openIfPresent(name, for: .read) != nil
            } catch {
                return false
            }
        }
    }

    private static func readLog(
        _ directory: StoreDirectory,
        _ identity: StoreIdentity,
        _ manifest: SurveyedManifest
    ) throws(EngineError) -> LogScan {
        let clues = manifest.clues
        let files = try ScannedLogFile.all(
            in: directory,
            historyID: identity.historyID,
            behind: clues.logStart.fileNumber,
            floor: identity.mark?.floor ?? .start
        )
        var flushed = clues.flushed
        // Files are removed once segments hold their records.
        if manifest.state == nil, let first = files.compactMap(\.header).first,
            first.predecessor.lastSequence > flushed.sequence
        {
            flushed = FlushMark(
                epoch: first.epochs.last { $0.epoch != first.epoch }?.epoch ?? first.epoch,
                sequence: first.predecessor.lastSequence,
                logHash: first.predecessor.logHash
            )
        }
        var log = LogScan(
            files,
            start: (clues.logStart.fileNumber, isKnown: manifest.state != nil),
            flushed: flushed,
            epochs: clues.epochs,
            floor: identity.mark?.floor ?? .start
        )
        try log.run()
        return log
    }

    // MARK: - What follows

    /// Whether a newer program may have written some of it.
    var unsupported: StoreDefect? { defects.first { $0.code == .unsupportedFormat } }

    /// The damaged segments whose records the log still has, all of them.
    var rereadable: [SurveyedSegment] {
        segments.filter { segment in
            guard !segment.isGood, tree != nil, let info = segment.info else { return false }
            return info.minSequence > log.start && info.maxSequence <= log.end.sequence
        }
    }

    /// Records behind this sequence are to be read from the log: those that are in no segment, and
    /// those that damaged segments held.
    var replayStart: UInt64 {
        guard let tree else { return log.start }
        let needed = segments.filter { !$0.isGood }.map { $0.info?.minSequence ?? 0 }.min() ?? .max
        return max(log.start, min(needed - min(needed, 1), tree.flushed.sequence))
    }

    /// What is lost when everything is kept that can be read up to the end of the log.
    var losses: [StoreLoss] {
        let reread = Set(rereadable.map(\.number))
        var losses: [StoreLoss] = []
        if tree == nil { losses.append(StoreLoss(.unknownSegments)) }
        for segment in segments where !reread.contains(segment.number) {
            // The log tells what came behind its start again.
            losses += segment.losses(through: tree == nil ? .max : log.start)
        }
        if mark == nil { losses.append(StoreLoss(.unknownEnd)) }
        return losses + logLosses
    }

    private var logLosses: [StoreLoss] {
        var losses: [StoreLoss] = []
        var next = log.end.sequence + 1
        func unreadable(through last: UInt64) {
            guard next <= last else { return }
            losses.append(StoreLoss(.unreadable, file: log.cut?.file, sequences: next...last))
        }
        for remainder in log.remainders where remainder.sequences.upperBound >= next {
            unreadable(through: remainder.sequences.lowerBound - 1)
            losses.append(
                StoreLoss(.behindHole, keys: remainder.keys, sequences: remainder.sequences)
            )
            next = remainder.sequences.upperBound + 1
        }
        unreadable(through: log.knownSequence)
        return losses
    }

    /// The greatest sequence that a good or damaged segment holds.
    var segmentSequence: UInt64 { segments.compactMap { $0.info?.maxSequence }.max() ?? 0 }
}
