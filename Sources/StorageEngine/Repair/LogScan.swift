// Reads a log that may be damaged, from front to back.
//
// 1. Frames that follow one another without a missing record are a chain. The log goes on from what
//    segments hold (`flushed`) as long as a chain does that begins at or before it: records missing
//    before that place are in segments.
// 2. Behind the first record that is missing after that place the log is cut. What can be read
//    behind the cut is told, and never part of a store whose history has no hole.
// 3. A chain that goes on behind damage must repeat the log hash where it says so.
// 4. The torn end of the last file is no damage, and what lies behind it is never used.

/// What of a log can be read.
struct LogScan {
    /// A place in the history; the hash is `nil` where it is not known.
    struct Place: Sendable, Hashable {
        var sequence: UInt64
        var logHash: UInt64?
    }

    /// Bytes that cannot be used.
    struct Stretch: Sendable, Hashable {
        let name: FileName
        let range: Range<UInt64>
    }

    /// Records that can be read, behind the cut.
    struct Remainder: Sendable, Hashable {
        var sequences: ClosedRange<UInt64>
        var keys: KeyRange
    }

    /// What is handed out: a record of the chain, or one behind the cut.
    typealias Handler = (RecordHead, [UInt8]) throws(EngineError) -> Void

    // What a scan found.
    /// Where the chain begins, at or before ``flushed``; ``flushed`` when there is none.
    private(set) var start: UInt64
    /// Where the log ends: the last record of the chain, or ``flushed``.
    private(set) var end: Place
    /// Of the last record.
    private(set) var epoch: Epoch
    private(set) var epochs: [EpochEntry]
    private(set) var lastStamp: UInt64 = 0
    private(set) var defects: [StoreDefect] = []
    private(set) var stretches: [Stretch] = []
    private(set) var remainders: [Remainder] = []
    /// The greatest sequence that any frame, header or mark tells of.
    private(set) var knownSequence: UInt64
    /// The greatest number of an epoch that any header tells of.
    private(set) var knownEpoch: UInt64
    /// The greatest number of a log file, of those that are there and those that are named.
    private(set) var lastFileNumber: UInt64
    /// Every file that was read.
    private(set) var files: [FileName] = []
    /// The file and the offset of the cut.
    private(set) var cut: (file: String, offset: UInt64)?

    private let flushed: Place
    let floor: LogEnd
    let scanned: [ScannedLogFile]
    private var chain: (start: UInt64, end: Place)?

    private static let listMax = 1000

    /// Reads the headers of the log files.
    ///
    /// - Parameters:
    ///   - scanned: The files behind the log's start.
    ///   - start: The last file that is not needed, if that is known.
    ///   - mark: What segments hold.
    ///   - epochs: The epoch table as far as it is known.
    ///   - floor: What STORE says is proven.
    init(
        _ scanned: [ScannedLogFile],
        start: (file: UInt64, isKnown: Bool),
        flushed mark: FlushMark,
        epochs: [EpochEntry],
        floor: LogEnd
    ) {
        self.scanned = scanned
        self.floor = floor
        flushed = Place(sequence: mark.sequence, logHash: mark.logHash)
        end = flushed
        self.start = mark.sequence
        epoch = mark.epoch
        self.epochs = epochs
        files = scanned.map(\.name)
        let headers = scanned.compactMap(\.header)
        knownSequence = max(mark.sequence, headers.map(\.predecessor.lastSequence).max() ?? 0)
        knownEpoch = max(epochs.last?.epoch.number ?? 0, mark.epoch.number)
        knownEpoch = max(knownEpoch, headers.map(\.epoch.number).max() ?? 0)
        lastFileNumber = max(start.file, scanned.map { max($0.number, $0.nameNumber) }.max() ?? 0)
        lastStamp = headers.map(\.baseStamp).max() ?? 0
        if floor.fileNumber > start.file {
            lastFileNumber = max(lastFileNumber, floor.fileNumber)
            knownSequence = max(knownSequence, floor.lastSequence)
        }
        noteMissingFiles(behind: start)
    }

    // MARK: - Scan

    /// Reads all files and finds out what can be read.
    mutating func run() throws(EngineError) {
        for index in scanned.indices { try scan(index) }
        if let chain, chain.end.sequence >= flushed.sequence {
            start = chain.start
            end = chain.end
        }
        guard end.sequence < knownSequence else { return }
        if defects.isEmpty {
            // Something tells of more, and nothing else is wrong: the end is missing.
            let name =
                scanned.last?.file.name ?? FileName.log(max(lastFileNumber, 1)).description
            let error = EngineError(
                .logGap,
                "reading the log: it ends at sequence \(end.sequence), it went up to "
                    + "\(knownSequence)",
                file: name,
                offset: scanned.last?.size ?? 0
            )
            defects.append(StoreDefect(error, file: name))
        }
        if cut == nil, let defect = defects.last { cut = (defect.file, defect.offset) }
    }

    private mutating func noteMissingFiles(behind start: (file: UInt64, isKnown: Bool)) {
        var expected = start.file + 1
        func missing(_ number: UInt64) -> StoreDefect {
            let name = FileName.log(number).description
            let error = EngineError(.logGap, "opening the log: this file is missing", file: name)
            return StoreDefect(error, file: name)
        }
        for file in scanned where file.header != nil || file.failure != nil {
            let isFirst = expected == start.file + 1
            if file.number > expected, start.isKnown || !isFirst {
                defects.append(missing(expected))
            }
            expected = max(expected, file.number + 1)
        }
        if floor.fileNumber >= expected {
            defects.append(missing(floor.fileNumber))
        }
    }

    private mutating func scan(_ index: Int) throws(EngineError) {
        let file = scanned[index]
        guard let header = file.header else {
            guard let failure = file.failure else { return }
            note(failure, file)
            try set(aside: file, from: 0)
            return
        }
        if file.number != file.nameNumber {
            let message = "opening a log file: the header is of file number \(file.number)"
            note(.corruption(message, file: file.file.name, offset: 64), file)
        }
        let expected = recordedEnd(of: header, index)
        var state = WalkState(isJoined: enter(header, file))
        var walk = Self.walk(file, header, through: expected?.length)
        while try step(&walk, file, &state) {}
        try checkEnd(walk.reader, file, expected, endsInGap: state.endsInGap)
        if let offset = state.cutOffset { try set(aside: file, from: offset) }
    }

    /// Notes what is wrong with the end of a file.
    private mutating func checkEnd(
        _ reader: LogReader,
        _ file: ScannedLogFile,
        _ expected: LogEnd?,
        endsInGap: Bool
    ) throws(EngineError) {
        guard !endsInGap else { return }
        let offset = reader.offset
        func corrupt(_ what: String) -> EngineError {
            .corruption("reading the log: \(what)", file: file.file.name, offset: offset)
        }
        if let expected {
            let end = LogEnd(
                fileNumber: file.number,
                length: offset,
                lastSequence: reader.lastSequence,
                logHash: reader.logHash
            )
            // The padding of the last frame may be missing alone.
            let isWhole = end == expected && file.size >= expected.length
            guard !isWhole, file.size < expected.length || !hasGap(in: file) else { return }
            note(
                corrupt(
                    "it ends with sequence \(end.lastSequence), it was written up to "
                        + "\(expected.lastSequence) and offset \(expected.length)"
                ),
                file
            )
        } else if reader.stop == .sealed, try file.usedEnd(from: offset) > offset {
            note(corrupt("bytes behind the seal"), file)
        }
    }

    private func hasGap(in file: ScannedLogFile) -> Bool {
        stretches.contains { $0.name == file.name }
    }

    /// Where a walk over a file stands.
    private struct WalkState {
        /// Whether the frames from here on belong to the chain.
        var isJoined: Bool
        /// Whether something unreadable lies before the next frame.
        var isBehindGap = false
        var endsInGap = false
        /// From where on nothing of the file is used.
        var cutOffset: UInt64?

        init(isJoined: Bool) {
            self.isJoined = isJoined
            if !isJoined { cutOffset = 0 }
        }
    }

    /// Takes the next frame, or what is none; `false` at the end.
    private mutating func step(
        _ walk: inout LogWalk,
        _ file: ScannedLogFile,
        _ state: inout WalkState
    ) throws(EngineError) -> Bool {
        let offset = walk.reader.offset
        let events = try Self.next(&walk)
        for error in events.errors { note(error, file) }
        if let gap = events.gap {
            state.endsInGap = true
            guard gap.isDamage else {
                // A torn end: nothing behind it counts.
                state.cutOffset = offset
                return false
            }
            if events.errors.isEmpty {
                let message = "reading the log: \(gap.reason)"
                note(.corruption(message, file: file.file.name, offset: offset), file)
            }
            stretches.append(stretch(file, offset, gap.length))
            state.isBehindGap = true
        } else if let frame = walk.reader.frame, events.hasFrame {
            state.endsInGap = false
            if state.isBehindGap {
                state.isBehindGap = false
                state.isJoined = join(
                    Place(sequence: frame.previousSequence, logHash: frame.logHash)
                )
            }
            if state.isJoined {
                chain?.end = Place(sequence: frame.lastSequence, logHash: walk.reader.logHash)
                lastStamp = max(lastStamp, walk.reader.lastStamp)
                if frame.hasRecords { epoch = file.header?.epoch ?? epoch }
            } else {
                state.cutOffset = min(state.cutOffset ?? offset, offset)
                if cut == nil { cut = (file.file.name, offset) }
                try remember(events.records, frame)
            }
        }
        return events.goesOn
    }

    // MARK: - The chain

    /// Takes a file's header in; whether its frames belong to the chain.
    private mutating func enter(_ header: LogFileHeader, _ file: ScannedLogFile) -> Bool {
        let end = header.predecessor
        guard join(Place(sequence: end.lastSequence, logHash: end.logHash)) else {
            if defects.isEmpty {
                let message = "opening a log file: it does not follow the one before"
                note(EngineError(.logGap, message, file: file.file.name, offset: 104), file)
            }
            return false
        }
        chain?.end.logHash = header.frames.initialHash
        epochs = epochs.continued(with: header.epochs)
        return true
    }

    /// Whether a run of frames that begins behind a place goes on with the chain, or begins it.
    private mutating func join(_ place: Place) -> Bool {
        guard cut == nil else { return false }
        let known = chain?.end ?? flushed
        let agrees =
            place.sequence != known.sequence || place.logHash == nil || known.logHash == nil
            || place.logHash == known.logHash
        if agrees, let chain, place.sequence == chain.end.sequence { return true }
        // Before what segments hold, the chain may have begun anywhere.
        let isBefore = place.sequence <= flushed.sequence
        if agrees, isBefore, chain == nil || chain?.end.sequence ?? 0 < flushed.sequence {
            chain = (place.sequence, place)
            return true
        }
        return false
    }
}

// MARK: - What is not used

extension LogScan {
    /// Remembers records behind the cut.
    private mutating func remember(
        _ records: [(head: RecordHead, operations: [UInt8])],
        _ frame: FrameHeader
    ) throws(EngineError) {
        guard frame.hasRecords else { return }
        knownSequence = max(knownSequence, frame.lastSequence)
        var keys: KeyRange?
        for record in records {
            for operation in try InspectedOperation.all(record.operations) {
                keys = keys.map { $0.union(operation.keys) } ?? operation.keys
            }
        }
        let found = Remainder(
            sequences: frame.previousSequence + 1...frame.lastSequence,
            keys: keys ?? .all
        )
        if let last = remainders.last,
            last.sequences.upperBound + 1 == found.sequences.lowerBound
                || remainders.count == Self.listMax
        {
            let lower = last.sequences.lowerBound
            let upper = max(last.sequences.upperBound, found.sequences.upperBound)
            remainders[remainders.count - 1] = Remainder(
                sequences: lower...upper,
                keys: last.keys.union(found.keys)
            )
        } else {
            remainders.append(found)
        }
    }

    private mutating func note(_ error: EngineError, _ file: ScannedLogFile) {
        guard defects.count < Self.listMax else { return }
        defects.append(StoreDefect(error, file: file.file.name))
    }

    private func stretch(
        _ file: ScannedLogFile,
        _ offset: UInt64,
        _ length: UInt64
    ) -> Stretch {
        Stretch(name: file.name, range: offset..<offset + length)
    }

    /// Nothing of a file is used from an offset on.
    private mutating func set(
        aside file: ScannedLogFile,
        from offset: UInt64
    ) throws(EngineError) {
        let end = try file.usedEnd(from: offset)
        stretches.removeAll { $0.name == file.name && $0.range.lowerBound >= offset }
        if end > offset { stretches.append(stretch(file, offset, end - offset)) }
    }
}

extension InspectedOperation {
    /// The keys that the operation changes.
    fileprivate var keys: KeyRange {
        KeyRange(from: key, to: kind == .rangeDelete ? upper : key + [0])
    }
}

extension KeyRange {
    /// The least range that holds both.
    fileprivate func union(_ other: KeyRange) -> KeyRange {
        let isLess = other.lower.lexicographicallyPrecedes(lower)
        guard let upper, let otherUpper = other.upper else {
            return KeyRange(from: isLess ? other.lower : lower, to: nil)
        }
        let isGreater = upper.lexicographicallyPrecedes(otherUpper)
        return KeyRange(from: isLess ? other.lower : lower, to: isGreater ? otherUpper : upper)
    }
}
