/// The file that frames are appended to.
///
/// Thread safety: `file`, `header` and `frames` are constant; the rest belongs to the append role.
final class ActiveLogFile: @unchecked Sendable {
    let file: StoreFile
    let header: LogFileHeader
    let frames: FrameStream
    /// Logical length: where the next frame goes.
    fileprivate(set) var length = UInt64(LogFormat.headerSize)
    fileprivate var restarts = RestartIndex()

    init(file: StoreFile, header: LogFileHeader) {
        self.file = file
        self.header = header
        frames = header.frames
    }
}

/// Why an append did not happen.
enum AppendFailure: Error {
    /// Nothing of it will ever be in the log. `touched`: some of its bytes were in the file for a
    /// while, so its sequences must not be used again.
    case refused(EngineError, touched: Bool)
    /// It may be in the log after a restart.
    case indeterminate(EngineError)
    /// Like indeterminate, and nothing may be appended any more.
    case broken(EngineError)

    var error: EngineError {
        switch self {
        case .refused(let error, _), .indeterminate(let error), .broken(let error): error
        }
    }
}

/// Writes the files of the log, one behind the other.
///
/// Thread safety: none; it belongs to whoever holds the append role. Syncs of ``current`` are run
/// by others, on the file itself.
final class LogWriter {
    private let directory: StoreDirectory
    private let historyID, memberID: UniqueID
    private let catalog: LogCatalog
    /// How much of a new file is reserved at once.
    private let reservedSize: UInt64
    private var encoder = FrameEncoder()

    private(set) var current: ActiveLogFile?
    /// The end of the finished files, before ``current``; and where it was at first.
    private(set) var end: LogEnd
    private let openedEnd: LogEnd
    /// The last record in the log, and the hash with it.
    private(set) var lastSequence: UInt64
    private(set) var logHash: UInt64
    /// The greatest stamp in the log.
    private var lastStamp: UInt64

    /// Goes on behind the end of a log.
    init(
        directory: StoreDirectory,
        identity: (historyID: UniqueID, memberID: UniqueID),
        catalog: LogCatalog,
        end: LogEnd,
        lastStamp: UInt64,
        reservedSize: UInt64
    ) {
        self.directory = directory
        self.catalog = catalog
        (historyID, memberID) = identity
        self.reservedSize = reservedSize
        self.end = end
        openedEnd = end
        self.lastStamp = lastStamp
        lastSequence = end.lastSequence
        logHash = end.logHash
    }

    /// Bytes of frames written.
    private(set) var storedBytes: UInt64 = 0

    var frameCount: UInt64 { encoder.frameCount }
    var rawBytes: UInt64 { encoder.rawBytes }

    // MARK: - Append

    /// Appends the records of two buffers, the earlier one first, as one write.
    ///
    /// On failure the file's tail is cut back, and the buffers are as before.
    func append(
        _ first: borrowing LogBuffer,
        _ second: borrowing LogBuffer,
        syncedThrough: UInt64,
        epochs: [EpochEntry]
    ) throws(AppendFailure) {
        guard let last = second.entries.last ?? first.entries.last else { return }
        let active = try openCurrent(epochs)
        var place = place(in: active, syncedThrough: syncedThrough)
        encoder.encode(first, at: &place)
        encoder.encode(second, at: &place)
        try write(to: active, through: place.offset)
        lastSequence = last.head.sequence
        logHash = last.hash
        lastStamp = last.head.stamp
    }

    /// Appends a sync marker.
    func appendMarker(syncedThrough: UInt64) throws(AppendFailure) {
        guard let current else { return }
        var place = place(in: current, syncedThrough: syncedThrough)
        encoder.encodeMarker(lastSequence: lastSequence, at: &place)
        try write(to: current, through: place.offset)
    }

    private func place(in active: ActiveLogFile, syncedThrough: UInt64) -> FrameEncoder.Place {
        FrameEncoder.Place(
            stream: active.frames,
            offset: active.length,
            syncedThrough: max(syncedThrough, UInt64(LogFormat.headerSize))
        )
    }

    private func write(to active: ActiveLogFile, through length: UInt64) throws(AppendFailure) {
        defer { encoder.clearOutput() }
        storedBytes += UInt64(encoder.output.count)
        do throws(WriteFailure) {
            try active.file.writeFully(encoder.output.bytes, at: active.length)
        } catch {
            encoder.restart()
            throw cutBack(active, error.error, touched: error.bytesWritten > 0)
        }
        active.length = length
        guard !encoder.restarts.isEmpty else { return }
        for point in encoder.restarts { active.restarts.append(point) }
        catalog.note(encoder.restarts, inFile: active.header.fileNumber)
    }

    /// Removes what a failed append left behind, so that nothing is ever appended behind it.
    private func cutBack(
        _ active: ActiveLogFile,
        _ error: EngineError,
        touched: Bool
    ) -> AppendFailure {
        do throws(EngineError) {
            if touched || error.code != .noSpace { try active.file.truncate(to: active.length) }
        } catch {
            return .broken(error)
        }
        return error.code == .noSpace ? .refused(error, touched: touched) : .indeterminate(error)
    }

    // MARK: - Files

    /// The current file; the first one of an epoch is made here.
    private func openCurrent(_ epochs: [EpochEntry]) throws(AppendFailure) -> ActiveLogFile {
        if let current { return current }
        let file: StoreFile
        do throws(EngineError) {
            file = try makeFile(number: end.fileNumber + 1)
        } catch {
            throw .refused(error, touched: false)
        }
        do throws(AppendFailure) {
            return try begin(file, epochs: epochs)
        } catch {
            guard case .refused(let cause, _) = error else { throw error }
            do throws(EngineError) {
                try directory.durableRemove([.log(end.fileNumber + 1)])
            } catch {
                throw .broken(error)
            }
            throw .refused(cause, touched: false)
        }
    }

    /// Makes a log file ahead of its use: reserved, with a zero header, its name durable.
    ///
    /// Thread safety: may be called without the append role.
    func makeFile(number: UInt64) throws(EngineError) -> StoreFile {
        do throws(EngineError) {
            return try reserveFile(number: number)
        } catch {
            // An earlier attempt failed, and could not remove what it had made.
            guard error.isTakenName, try isUnused(number: number) else { throw error }
        }
        try directory.durableRemove([.log(number)])
        return try reserveFile(number: number)
    }

    /// Whether no header was ever written to a log file.
    private func isUnused(number: UInt64) throws(EngineError) -> Bool {
        let file = try directory.open(.log(number), for: .read)
        let header = try file.read(count: LogFormat.headerSize, at: 0)
        return header.allSatisfy { $0 == 0 }
    }

    private func reserveFile(number: UInt64) throws(EngineError) -> StoreFile {
        try directory.durableCreate(.log(number)) { file throws(EngineError) in
            do throws(EngineError) {
                try file.allocate(size: reservedSize)
            } catch {
                // Some file systems reserve nothing; the file grows as it is written then.
                guard error.isUnsupported else { throw error }
            }
        }
    }

    /// Writes the header of a file made ahead; from then on it is the current one. It is the first
    /// of its epoch when that began where the file before ends.
    ///
    /// When there is no room for the header (where nothing is reserved) the file is not begun.
    private func begin(
        _ file: StoreFile,
        epochs: [EpochEntry]
    ) throws(AppendFailure) -> ActiveLogFile {
        let startsEpoch = epochs.last.map {
            $0.lastSequenceBefore == end.lastSequence && $0.logHashBefore == end.logHash
        }
        let header = LogFileHeader(
            identity: LogFileIdentity(
                historyID: historyID,
                memberID: memberID,
                fileNumber: end.fileNumber + 1
            ),
            baseStamp: lastStamp,
            predecessor: end,
            startsEpoch: startsEpoch ?? false,
            epochs: epochs
        )
        do throws(EngineError) {
            try file.write(header.encoded(), at: 0)
        } catch {
            throw error.code == .noSpace ? .refused(error, touched: true) : .broken(error)
        }
        do throws(EngineError) { try file.dataSync() } catch { throw .broken(error) }
        let active = ActiveLogFile(file: file, header: header)
        current = active
        logHash = active.frames.initialHash
        catalog.begin(header)
        encoder.restart()
        return active
    }

    /// Finishes the current file with a seal and a sync, and goes on in the next one.
    ///
    /// - Returns: The finished file, still to be trimmed.
    func rotate(
        to next: StoreFile,
        syncedThrough: UInt64,
        epochs: [EpochEntry]
    ) throws(AppendFailure) -> FinishedLogFile {
        guard let old = current else { preconditionFailure("only a begun log changes files") }
        try seal(old, syncedThrough: syncedThrough)
        do throws(AppendFailure) {
            _ = try begin(next, epochs: epochs)
        } catch {
            // Behind the seal of the old file nothing can be appended.
            throw .broken(error.error)
        }
        return FinishedLogFile(file: old.file, length: old.length)
    }

    private func seal(_ active: ActiveLogFile, syncedThrough: UInt64) throws(AppendFailure) {
        var place = place(in: active, syncedThrough: syncedThrough)
        encoder.encodeSeal(
            active.restarts,
            lastSequence: lastSequence,
            logHash: logHash,
            at: &place
        )
        try write(to: active, through: place.offset)
        do throws(EngineError) {
            try active.file.dataSync()
        } catch {
            throw .broken(error)
        }
        end = LogEnd(
            fileNumber: active.header.fileNumber,
            length: active.length,
            lastSequence: lastSequence,
            logHash: logHash
        )
        catalog.finish(end, lastStamp: lastStamp)
    }

    /// Seals, syncs and trims the current file: a clean end.
    ///
    /// - Returns: Where the log ends, `nil` when nothing was written since the store was opened.
    func finish(syncedThrough: UInt64) throws(EngineError) -> LogEnd? {
        if current?.header.startsEpoch == true { try discardEmpty() }
        // Files that this opening has finished may be all that it leaves.
        guard let active = current else { return end == openedEnd ? nil : end }
        do throws(AppendFailure) {
            try seal(active, syncedThrough: syncedThrough)
        } catch {
            throw error.error
        }
        current = nil
        try FinishedLogFile(file: active.file, length: active.length).trim()
        return end
    }

    /// Whether nothing was appended to the current file.
    var isCurrentEmpty: Bool { current?.length == UInt64(LogFormat.headerSize) }

    /// Removes the current file when nothing was appended to it: an epoch without a record leaves
    /// no trace in the log, and none in the log hash.
    func discardEmpty() throws(EngineError) {
        guard let active = current, isCurrentEmpty else { return }
        current = nil
        logHash = end.logHash
        catalog.removeCurrent()
        try discard(active.file, number: active.header.fileNumber)
    }

    /// Removes a file that was made ahead and not used, or holds nothing.
    func discard(_ file: StoreFile, number: UInt64) throws(EngineError) {
        try file.close()
        try directory.durableRemove([.log(number)])
    }

    /// Closes the current file as it is.
    func abandon() { current = nil }
}

/// A sealed and synced log file whose reserved space is given back.
struct FinishedLogFile: Sendable {
    let file: StoreFile
    let length: UInt64

    /// Cuts the file to its length and closes it.
    func trim() throws(EngineError) {
        try file.truncate(to: length)
        try file.close()
    }
}
