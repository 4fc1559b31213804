// Recovery: from the files of the log to the records that survive.
//
// 1. The log files are consecutive, and each header repeats how its predecessor ended. A zero
//    header, or a bad one with nothing behind it, marks a file that was made ahead; only the last
//    may be one.
// 2. A finished file, one with a successor or named by the store's floor, must be good up to its
//    recorded length; anything else is corruption. What lies behind that length is not read. When
//    segments hold all of its records it is not read at all.
// 3. The last file is read up to its first bad frame, at offset o. It is corruption if any frame
//    behind o says that the file was synced beyond o. Otherwise what lies behind o is a torn tail:
//    never promised `.disk`, never replayed. A seal proves no more than another frame: it goes to
//    disk in the same sync as the frames before it, and may get there first.
// 4. Records behind what the floor or a good frame's syncedThrough proves may sit in the page cache
//    only. They are written again to a new file of their epoch, which is sealed and synced.
// 5. Only then is the store's floor moved: from here on the log ends in a finished file.
//
// A crash at any step leaves a log that recovers to the same records: the torn bytes are copied,
// not moved, the new file appears whole under its name, and the floor is replaced as a whole.

/// What recovery found, for the log writer that goes on.
package struct RecoveredLog: Sendable {
    /// Where the log ends: what the next file's header names as its predecessor.
    package var end = LogEnd.start
    /// The epoch table, the newest entry last.
    package var epochs: [EpochEntry] = []
    package var lastStamp: UInt64 = 0
    package var report = RecoveryReport()
}

/// What the manifest knows of the log.
struct LogStart: Sendable {
    /// The end of the last file that is not needed any more; files up to it are left out.
    var end = LogEnd.start
    /// Records up to there are in segments, and are not handed out.
    var flushedSequence: UInt64 = 0
    /// The epoch table as far as it is known.
    var epochs: [EpochEntry] = []
}

/// What a recovery read and did.
public struct RecoveryReport: Hashable, Sendable {
    /// Records read from the log.
    public internal(set) var records: UInt64 = 0
    /// Log files read.
    public internal(set) var files: Int = 0
    /// Bytes of a torn tail, which were cut off and saved in `quarantine/`.
    public internal(set) var tornBytes: UInt64 = 0
    /// Records that were not proven to be on disk and were written and synced again.
    public internal(set) var rewrittenRecords: UInt64 = 0
}

/// Reads the log of a directory, and repairs its end when it may write.
struct LogRecovery {
    typealias Apply = (RecordHead, UnsafeRawBufferPointer) throws(EngineError) -> Void

    let directory: StoreDirectory
    let markFile: StoreMarkFile
    /// The store's mark before anything was repaired.
    let mark: StoreMark
    private let start: LogStart
    private var log = RecoveredLog()

    /// - Parameters:
    ///   - directory: The store's directory.
    ///   - markFile: What the store is, and how much of the log is proven.
    ///   - start: What the manifest knows of the log.
    init(directory: StoreDirectory, markFile: StoreMarkFile, start: LogStart = LogStart()) {
        self.start = start
        self.directory = directory
        self.markFile = markFile
        mark = markFile.mark
        log.end = start.end
        log.epochs = start.epochs
        // There may be no log file to tell it.
        log.lastStamp = mark.lastStamp
    }

    /// A log file that has a header.
    struct LogFile {
        let file: StoreFile
        let header: LogFileHeader
        let size: UInt64
    }

    /// Reads every surviving record, in order; `repair` also settles the end of the log on disk,
    /// which a read-only open does not.
    mutating func run(repair: Bool, _ apply: Apply) throws(EngineError) -> RecoveredLog {
        let cut = LogCut(directory: directory, markFile: markFile)
        if repair {
            try cut.finish()
        } else if try cut.isPending() {
            throw EngineError(.logGap, "opening the log: it is being cut back; open it for writing")
        }
        let found = try findFiles()
        var openTail: Tail?
        for (index, file) in found.files.enumerated() {
            try checkChain(file)
            log.epochs = log.epochs.continued(with: file.header.epochs)
            let successor = index + 1 < found.files.count ? found.files[index + 1].header : nil
            let expected = successor?.predecessor ?? finishedEnd(of: file)
            if let expected {
                let stamp = successor?.baseStamp ?? mark.lastStamp
                try readFinished(file, expected: expected, stamp: stamp, apply)
            } else {
                openTail = try readLast(file, apply)
            }
            log.report.files += 1
        }
        try checkFloor()
        if repair { try settle(openTail, unused: found.unused) }
        guard log.end.lastSequence >= start.flushedSequence else {
            throw EngineError(
                .logGap,
                "opening the log: it ends at sequence \(log.end.lastSequence), segments hold "
                    + "what was written up to \(start.flushedSequence)",
                file: FileName.log(max(log.end.fileNumber, 1)).description,
                offset: log.end.length
            )
        }
        // What began behind the end was cut off, or left no record.
        let end = log.end.lastSequence
        log.epochs.removeAll { $0.lastSequenceBefore >= end }
        return log
    }

    /// The end of a file that the floor proves to be finished.
    private func finishedEnd(of file: LogFile) -> LogEnd? {
        mark.floor.fileNumber == file.header.fileNumber ? mark.floor : nil
    }

    private func checkFloor() throws(EngineError) {
        guard log.end.fileNumber >= mark.floor.fileNumber else {
            throw EngineError(
                .logGap,
                "opening the log: this file is missing, "
                    + "the last one found is number \(log.end.fileNumber)",
                file: FileName.log(mark.floor.fileNumber).description,
                offset: 0
            )
        }
    }

    // MARK: - Files

    private struct Found {
        var files: [LogFile] = []
        var unused: [UInt64] = []
    }

    /// Opens the log files in order and tells used from unused ones.
    private func findFiles() throws(EngineError) -> Found {
        var found = Found()
        for number in try directory.list().logNumbers where number > start.end.fileNumber {
            let file = try directory.open(.log(number), for: .read)
            guard let used = try open(file, number: number) else {
                found.unused.append(number)
                continue
            }
            guard found.unused.isEmpty else {
                throw EngineError(
                    .logGap,
                    "opening the log: file \(file.name) follows file number "
                        + "\(found.unused[0]), which was never used",
                    file: file.name,
                    offset: 0
                )
            }
            found.files.append(used)
        }
        return found
    }

    private func open(_ file: StoreFile, number: UInt64) throws(EngineError) -> LogFile? {
        let size = try file.size()
        do throws(EngineError) {
            return LogFile(file: file, header: try header(of: file, number: number), size: size)
        } catch {
            // Without a byte behind it, a bad header never had a record: the file was being made.
            // A torn write may even have left another file's header, which the block held before.
            guard error.code == .corruption, mark.floor.fileNumber < number,
                try isEmpty(file, size)
            else { throw error }
            return nil
        }
    }

    private func header(
        of file: StoreFile,
        number: UInt64
    ) throws(EngineError) -> LogFileHeader {
        let bytes = try file.read(count: LogFormat.headerSize, at: 0)
        let header = try bytes.span.withUnsafeBytes { bytes throws(EngineError) in
            try LogFileHeader(decoding: bytes, file: file.name)
        }
        guard header.historyID == mark.historyID, header.fileNumber == number else {
            throw .corruption(
                "opening the log: the header is of file number \(header.fileNumber), "
                    + "history \(header.historyID)",
                file: file.name,
                offset: 32
            )
        }
        return header
    }

    /// Whether nothing but zeros lies behind the header.
    private func isEmpty(_ file: StoreFile, _ size: UInt64) throws(EngineError) -> Bool {
        var input = FileInput(file: file, limit: size)
        return try input.lastNonZero(from: UInt64(LogFormat.headerSize), to: size) == nil
    }

    /// Checks that a file is the one that follows what was read.
    private func checkChain(_ file: LogFile) throws(EngineError) {
        let predecessor = file.header.predecessor
        let isFirst = log.report.files == 0 && start.end.fileNumber > 0
        guard predecessor.fileNumber == log.end.fileNumber, !isFirst || predecessor == start.end,
            predecessor.fileNumber == 0 || predecessor.fileNumber + 1 == file.header.fileNumber
        else {
            throw EngineError(
                .logGap,
                "opening the log: file number \(predecessor.fileNumber) must precede this file, "
                    + "found \(log.end.fileNumber)",
                file: file.file.name,
                offset: 104
            )
        }
    }

    // MARK: - Reading

    /// Reads a finished file, whose last stamp is at most `stamp`.
    private mutating func readFinished(
        _ file: LogFile,
        expected: LogEnd,
        stamp: UInt64,
        _ apply: Apply
    ) throws(EngineError) {
        guard expected.length <= file.size else {
            throw .corruption(
                "opening the log: the file has \(file.size) bytes, \(expected.length) were synced",
                file: file.file.name,
                offset: file.size
            )
        }
        guard expected.lastSequence > start.flushedSequence else {
            // Segments hold all of it.
            log.end = expected
            log.lastStamp = max(log.lastStamp, stamp)
            return
        }
        let reader = LogReader(file: file.file, frames: file.header.frames, limit: expected.length)
        while try read(reader, apply) {}
        let end = LogEnd(
            fileNumber: file.header.fileNumber,
            length: reader.offset,
            lastSequence: reader.lastSequence,
            logHash: reader.logHash
        )
        guard end == expected else {
            throw .corruption(
                "opening the log: \(reader.stop?.rawValue ?? "") after sequence "
                    + "\(end.lastSequence), expected \(expected.lastSequence) at "
                    + "\(expected.length); what lies between is at risk",
                file: file.file.name,
                offset: end.length
            )
        }
        log.end = end
        log.lastStamp = max(log.lastStamp, reader.lastStamp)
    }

    /// The part of the last file whose durability nothing proves.
    struct Tail {
        let file: LogFile
        /// The end of the last good frame.
        let end: LogEnd
        /// Everything before this length was synced.
        let proven: UInt64
        /// A restart frame before ``proven``, or the first frame.
        let restart: UInt64
        /// The end of the torn bytes behind the last good frame; `nil` when there are none.
        let tornEnd: UInt64?
    }

    private mutating func readLast(_ file: LogFile, _ apply: Apply) throws(EngineError) -> Tail {
        let reader = LogReader(file: file.file, frames: file.header.frames, limit: file.size)
        var restarts: [UInt64] = []
        while try read(reader, apply) {
            if reader.frame?.flags.contains(.restart) == true {
                restarts.append(reader.frameOffset)
            }
        }
        let restart =
            restarts.last { $0 < reader.syncedThrough } ?? UInt64(LogFormat.headerSize)
        var tornEnd: UInt64?
        if let last = try reader.lastNonZero() {
            try checkTorn(file, reader, through: last)
            tornEnd = last + 1
            log.report.tornBytes += last + 1 - reader.offset
        }
        log.end = LogEnd(
            fileNumber: file.header.fileNumber,
            length: reader.offset,
            lastSequence: reader.lastSequence,
            logHash: reader.logHash
        )
        log.lastStamp = max(log.lastStamp, reader.lastStamp)
        return Tail(
            file: file,
            end: log.end,
            proven: reader.syncedThrough,
            restart: restart,
            tornEnd: tornEnd
        )
    }

    private mutating func read(_ reader: LogReader, _ apply: Apply) throws(EngineError) -> Bool {
        let flushed = start.flushedSequence
        var count: UInt64 = 0
        let isGood = try reader.next { head, operations throws(EngineError) in
            count += 1
            if head.sequence > flushed { try apply(head, operations) }
        }
        log.report.records += count
        return isGood
    }

    /// Refuses a bad frame behind which the file proves that it was synced.
    private func checkTorn(
        _ file: LogFile,
        _ reader: LogReader,
        through last: UInt64
    ) throws(EngineError) {
        guard reader.stop != .sealed else {
            throw .corruption(
                "opening the log: bytes behind the seal",
                file: file.file.name,
                offset: last
            )
        }
        if let proof = try reader.firstProofOfMore(through: last) {
            throw .corruption(
                "opening the log: \(reader.stop?.rawValue ?? ""), but a frame at \(proof.offset) "
                    + "proves that it was synced; the records after sequence "
                    + "\(reader.lastSequence) up to \(proof.header.lastSequence) are at risk",
                file: file.file.name,
                offset: reader.offset
            )
        }
    }

    // MARK: - Repair

    /// Brings the end of the log into a finished file and moves the floor there.
    private mutating func settle(_ tail: Tail?, unused: [UInt64]) throws(EngineError) {
        let leftovers = try directory.list().known.filter {
            if case .temporaryLog = $0 { true } else { $0 == .temporaryStore }
        }
        let useless = unused.map(FileName.log) + leftovers
        if !useless.isEmpty { try directory.durableRemove(useless) }
        guard let tail else { return }
        let number = tail.file.header.fileNumber
        if let tornEnd = tail.tornEnd {
            _ = try directory.saveToQuarantine(tail.end.length..<tornEnd, of: tail.file.file)
        }
        if tail.end.length == UInt64(LogFormat.headerSize) {
            // Without a frame, not even the header is proven. It is all that says where the file
            // before it ends, so that goes into the floor first.
            log.end = tail.file.header.predecessor
            if tail.file.header.startsEpoch { log.epochs.removeLast() }
            if log.end != mark.floor { try moveFloor() }
            try directory.durableRemove([.log(number)])
            return
        }
        log.end = try TailRewriter(directory: directory, mark: mark, tail: tail).run(
            &log.report.rewrittenRecords
        )
        try moveFloor()
        let length = log.end.fileNumber == number ? log.end.length : tail.proven
        try directory.open(.log(number), for: .readWrite).truncate(to: length)
    }

    private func moveFloor() throws(EngineError) {
        let (end, lastStamp) = (log.end, log.lastStamp)
        try markFile.update { mark in
            mark.floor = end
            mark.lastStamp = lastStamp
        }
    }
}
