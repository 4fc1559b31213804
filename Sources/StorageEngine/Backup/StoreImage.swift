/// What a store consists of at one moment, as a checkpoint or a backup takes it: everything that
/// was synced then. It is whole as long as no file of the directory is removed.
///
/// Thread safety: a value.
struct StoreImage: Sendable {
    let directory: StoreDirectory
    let historyID: UniqueID
    let memberID: UniqueID
    /// What is in segments.
    let state: ManifestState
    /// What is behind that.
    let log: LogImage

    var segments: [SegmentInfo] { state.levels.flatMap { $0 } }
}

/// The files of a log that recovery needs, up to a place that was synced.
///
/// Thread safety: a value.
struct LogImage: Hashable, Sendable {
    /// A file, and how much of it belongs to the log.
    struct Part: Hashable, Sendable {
        let number, length: UInt64
    }

    private(set) var parts: [Part] = []
    /// Where the log ends.
    private(set) var end: LogEnd
    /// No stamp in the log is above it.
    private(set) var lastStamp: UInt64 = 0
    /// The epoch of the last file.
    private(set) var epoch = Epoch.none

    /// Reads and checks the log behind one place and up to another, as recovery would.
    ///
    /// - Parameters:
    ///   - directory: The store's directory.
    ///   - historyID: The history that the files must be of.
    ///   - start: The end of the last file that is not needed.
    ///   - last: The number of the last file, and a length up to which it was synced.
    /// - Throws: ``EngineError`` with code `corruption`, `logGap`, `unsupportedFormat` or `io`.
    init(
        _ directory: StoreDirectory,
        historyID: UniqueID,
        behind start: LogEnd,
        through last: (fileNumber: UInt64, length: UInt64)
    ) throws(EngineError) {
        end = start
        guard last.fileNumber > start.fileNumber else { return }
        let numbers = try directory.list().logNumbers.filter {
            $0 > start.fileNumber && $0 <= last.fileNumber
        }
        var files: [(file: StoreFile, header: LogFileHeader)] = []
        for number in numbers {
            let file = try directory.open(.log(number), for: .read)
            files.append((file, try Self.header(of: file, number, historyID)))
        }
        for (index, file) in files.enumerated() {
            let next = index + 1 < files.count ? files[index + 1].header.predecessor : nil
            try add(file.file, file.header, finished: next, length: next?.length ?? last.length)
        }
        guard end.fileNumber == last.fileNumber else {
            throw EngineError(
                .logGap,
                "reading the log: file number \(last.fileNumber) is missing, the last one found "
                    + "is \(end.fileNumber)"
            )
        }
    }

    private static func header(
        of file: StoreFile,
        _ number: UInt64,
        _ historyID: UniqueID
    ) throws(EngineError) -> LogFileHeader {
        let bytes = try file.read(count: LogFormat.headerSize, at: 0)
        let header = try bytes.span.withUnsafeBytes { bytes throws(EngineError) in
            try LogFileHeader(decoding: bytes, file: file.name)
        }
        guard header.historyID == historyID, header.fileNumber == number else {
            throw .corruption(
                "reading the log: the header is of file number \(header.fileNumber), history "
                    + "\(header.historyID)",
                file: file.name,
                offset: 32
            )
        }
        return header
    }

    /// Reads a file. `finished`: what its successor says of its end.
    private mutating func add(
        _ file: StoreFile,
        _ header: LogFileHeader,
        finished: LogEnd?,
        length: UInt64
    ) throws(EngineError) {
        // At its start a history may name a predecessor that never was a file.
        guard header.predecessor == end || header.predecessor.fileNumber == 0 && end == .start
        else {
            throw EngineError(
                .logGap,
                "reading the log: file number \(header.predecessor.fileNumber) must precede this "
                    + "file, found \(end.fileNumber)",
                file: file.name,
                offset: 104
            )
        }
        let reader = LogReader(
            file: file,
            frames: header.frames,
            limit: min(length, try file.size())
        )
        while try reader.next({ _, _ in }) {}
        end = LogEnd(
            fileNumber: header.fileNumber,
            length: reader.offset,
            lastSequence: reader.lastSequence,
            logHash: reader.logHash
        )
        guard reader.offset == length, finished ?? end == end else {
            throw .corruption(
                "reading the log: \(reader.stop?.rawValue ?? "") after sequence "
                    + "\(reader.lastSequence), \(length) bytes were synced",
                file: file.name,
                offset: reader.offset
            )
        }
        parts.append(Part(number: header.fileNumber, length: length))
        lastStamp = max(lastStamp, reader.lastStamp)
        epoch = header.epoch
    }
}
