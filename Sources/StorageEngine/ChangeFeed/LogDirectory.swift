internal import Synchronization

// A log that another process writes, read from its files.
//
// Files are looked at again while somebody waits: nothing tells of a change. Of the last file
// frames are believed as far as they follow each other and their hashes are right; what is behind
// the last good one is being written, or torn. A record counts as on disk when a frame behind it
// says that it was synced; the writer appends such a marker when it has nothing else to append for
// 50 ms.

/// The log files of a store that is open elsewhere, or of one that is closed.
///
/// Thread safety: every method may be called from any thread.
final class LogDirectory: FeedSource, @unchecked Sendable {
    let directory: StoreDirectory
    let historyID: UniqueID
    let catalog: LogCatalog
    let tail: FeedTail? = nil
    private let threads = ThreadPool(name: "engine-follow", countMax: 1)
    private let pauseCondition = Condition()

    private let lock = Lock()
    /// Held while files are looked at.
    private let refreshLock = Lock()
    // The lock.
    private var table: [EpochEntry] = []
    private var appended: (end: LogLength, sequence: UInt64)?
    private var syncedSequence: UInt64 = 0
    // The refresh lock.
    private var last: LastFile?

    /// How often files are looked at while somebody waits.
    private static let pollInterval: UInt64 = 20_000_000

    /// Opens the log of a store's directory.
    ///
    /// - Throws: ``EngineError`` with code `notAStore`, `corruption`, `unsupportedFormat` or `io`.
    init(path: String, in fileSystem: any FileSystem) throws(EngineError) {
        directory = try StoreDirectory.open(path: path, in: fileSystem)
        guard let file = try directory.openIfPresent(.store, for: .read) else {
            throw EngineError(.notAStore, "following a log: there is no store at \(path)")
        }
        let bytes = try file.read(count: StoreMark.encodedSize + 1, at: 0)
        let mark = try bytes.span.withUnsafeBytes { bytes throws(EngineError) in
            try StoreMark(decoding: bytes)
        }
        historyID = mark.historyID
        catalog = LogCatalog(files: [], base: .start)
        try refresh()
    }

    var epochs: [EpochEntry] { lock.with { table } }
    var appendedEnd: LogLength? { lock.with { appended?.end } }

    func feedLimit(_ horizon: AckPoint) -> UInt64 {
        lock.with {
            horizon == .disk ? syncedSequence : max(appended?.sequence ?? 0, syncedSequence)
        }
    }

    func waitForFeed(
        after sequence: UInt64,
        _ horizon: AckPoint,
        isStream: Bool
    ) throws(EngineError) {
        while true {
            try refresh()
            guard feedLimit(horizon) <= sequence else { return }
            lock.with { pauseCondition.wait(lock, until: Self.now + Self.pollInterval) }
        }
    }

    func waitForFeed(after sequence: UInt64, _ horizon: AckPoint) async throws {
        while true {
            try await threads.run { [self] () throws(EngineError) in try refresh() }
            guard feedLimit(horizon) <= sequence else { return }
            try await Task.sleep(nanoseconds: Self.pollInterval)
        }
    }

    private static var now: UInt64 { SystemTime().monotonicNanoseconds }

    // MARK: - Files

    /// The file that is appended to, as far as it was looked at.
    private struct LastFile {
        let header: LogFileHeader
        let file: StoreFile
        /// The end of the last good frame, and the last record before it.
        var offset = UInt64(LogFormat.headerSize)
        var sequence: UInt64
        var syncedThrough = UInt64(LogFormat.headerSize)
        /// Good frames that nothing proves to be on disk: where they end, and with which record.
        var unproven: [(end: UInt64, sequence: UInt64)] = []
    }

    /// Looks at what has been appended since.
    private func refresh() throws(EngineError) {
        try refreshLock.with { () throws(EngineError) in
            let numbers = try directory.list().logNumbers
            if let first = numbers.first { catalog.removeAll(through: first - 1) }
            for number in numbers where number > (last?.header.fileNumber ?? 0) {
                guard try open(number) else { break }
            }
            try readOn()
        }
    }

    /// Goes on to a file, when it has a header; the one before is finished then.
    private func open(_ number: UInt64) throws(EngineError) -> Bool {
        guard let file = try directory.openIfPresent(.log(number), for: .read) else { return false }
        let bytes = try file.read(count: LogFormat.headerSize, at: 0)
        guard bytes.contains(where: { $0 != 0 }) else { return false }
        let header = try bytes.span.withUnsafeBytes { bytes throws(EngineError) in
            try LogFileHeader(decoding: bytes, file: file.name)
        }
        guard header.historyID == historyID, header.fileNumber == number else {
            throw .corruption(
                "following a log: the header is of file number \(header.fileNumber), history "
                    + "\(header.historyID)",
                file: file.name,
                offset: 32
            )
        }
        let end = header.predecessor
        if let last, last.header.fileNumber != end.fileNumber {
            throw EngineError(
                .logGap,
                "following a log: file number \(end.fileNumber) must precede this file, found "
                    + "\(last.header.fileNumber)",
                file: file.name,
                offset: 104
            )
        }
        if last != nil { catalog.finish(end, lastStamp: header.baseStamp) }
        last = LastFile(header: header, file: file, sequence: end.lastSequence)
        catalog.begin(header, restarts: nil)
        lock.with {
            table = table.continued(with: header.epochs)
            // A file is synced as a whole before its successor gets its header.
            syncedSequence = max(syncedSequence, end.lastSequence)
            appended = (
                LogLength(fileNumber: number, length: UInt64(LogFormat.headerSize)),
                end.lastSequence
            )
        }
        return true
    }

    /// Passes over the good frames that were appended to the last file.
    private func readOn() throws(EngineError) {
        guard var last else { return }
        var input = FileInput(file: last.file, limit: try last.file.size(), stepSize: 256 << 10)
        while let (frame, size) = try frame(at: last.offset, last, &input) {
            last.offset += size
            last.sequence = frame.lastSequence
            last.syncedThrough = max(last.syncedThrough, frame.syncedThrough)
            last.unproven.append((last.offset, last.sequence))
        }
        let proven = last.unproven.prefix { $0.end <= last.syncedThrough }
        let synced = proven.last?.sequence ?? 0
        last.unproven.removeFirst(proven.count)
        self.last = last
        let number = last.header.fileNumber
        lock.with {
            syncedSequence = max(syncedSequence, synced)
            appended = (LogLength(fileNumber: number, length: last.offset), last.sequence)
        }
    }

    /// The frame at an offset, and its size in the file; `nil` when there is no good one that
    /// follows.
    private func frame(
        at offset: UInt64,
        _ last: LastFile,
        _ input: inout FileInput
    ) throws(EngineError) -> (FrameHeader, UInt64)? {
        let bytes = try input.bytes(at: offset, upTo: FrameHeader.encodedSizeMax)
        var size = 0
        guard
            let frame = FrameHeader(
                decoding: bytes,
                at: offset,
                of: last.header.frames,
                headerSize: &size
            ), frame.previousSequence == last.sequence
        else { return nil }
        let payload = try input.bytes(at: offset + UInt64(size), upTo: frame.storedSize)
        guard payload.count == frame.storedSize, Checksum.xxh3(payload) == frame.payloadHash else {
            return nil
        }
        return (frame, UInt64(LogFormat.aligned(size + frame.storedSize)))
    }
}
