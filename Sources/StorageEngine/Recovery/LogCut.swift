// Cutting a log back: the records behind a sequence are taken out of the history, because a
// leader's history went another way there.
//
// 1. The file that holds the last record to stay is written anew, as far as it stays, under its
//    temporary name: the frames before the cut byte for byte, what stays of the frame that the cut
//    goes through in a frame of its own, a seal. It is synced, and so is its name. A file that ends
//    at the cut gets a marker before its seal, and so another end than its successor knows.
// 2. The store's floor is moved to the cut. From here on it is done; what follows is repeated at
//    the next open until it is finished.
// 3. The old file is copied to `quarantine/`, and the new one renamed to its name. The floor tells
//    that a temporary file of its number is meant for that: no other one has that number.
// 4. Log files behind it are copied to `quarantine/` and removed, the newest first. They are known
//    by what they name as their predecessor: another end of the floor's file than the floor.
//
// Nothing that was cut is lost without a trace, and nothing of it is ever read again.

/// Cuts the log of a store back that no engine has open.
struct LogCut {
    let directory: StoreDirectory
    let markFile: StoreMarkFile

    private var historyID: UniqueID { markFile.mark.historyID }

    /// Takes the records behind a sequence out of a log whose end was recovered.
    ///
    /// - Parameters:
    ///   - file: The file that holds the last record to stay.
    ///   - sequence: That record's sequence.
    ///   - logHash: The log hash with it, checked when it is known.
    /// - Returns: Where the log ends now.
    /// - Throws: ``EngineError`` with code `diverged`, `corruption`, `noSpace` or `io`.
    func run(
        _ file: LogCatalog.File,
        through sequence: UInt64,
        logHash: UInt64?
    ) throws(EngineError) -> LogEnd {
        guard let end = file.end else { preconditionFailure("a recovered log has finished files") }
        let (newEnd, stamp) = try write(file, endingAt: end, through: sequence)
        guard newEnd.lastSequence == sequence, newEnd.logHash == logHash ?? newEnd.logHash else {
            try directory.durableRemove([.temporaryLog(file.number)])
            throw EngineError(
                .diverged,
                "cutting the log back: the record at \(sequence) is not there, or another one",
                file: FileName.log(file.number).description,
                sequence: sequence
            )
        }
        try markFile.update { mark in
            mark.floor = newEnd
            mark.lastStamp = stamp
        }
        try finish()
        return newEnd
    }

    // MARK: - Writing

    private func write(
        _ found: LogCatalog.File,
        endingAt oldEnd: LogEnd,
        through sequence: UInt64
    ) throws(EngineError) -> (LogEnd, stamp: UInt64) {
        let source = try directory.open(.log(found.number), for: .read)
        let rest = try CutFrame(of: source, found.header, length: oldEnd.length, through: sequence)
        var encoder = FrameEncoder()
        var place = FrameEncoder.Place(
            stream: found.header.frames,
            offset: rest.offset,
            syncedThrough: UInt64(LogFormat.headerSize)
        )
        encoder.encode(rest.records, at: &place)
        var restarts = rest.restarts
        for point in encoder.restarts { restarts.append(point) }
        if oldEnd.lastSequence == sequence {
            encoder.encodeMarker(lastSequence: rest.lastSequence, at: &place)
        }
        encoder.encodeSeal(
            restarts,
            lastSequence: rest.lastSequence,
            logHash: rest.logHash,
            at: &place
        )
        let name = FileName.temporaryLog(found.number)
        try directory.durableRemove([name])
        _ = try directory.durableCreate(name) { file throws(EngineError) in
            try Self.copy(rest.offset, of: source, to: file)
            try file.write(encoder.output, at: rest.offset)
        }
        let end = LogEnd(
            fileNumber: found.number,
            length: place.offset,
            lastSequence: rest.lastSequence,
            logHash: rest.logHash
        )
        precondition(end.length != oldEnd.length || end.lastSequence != oldEnd.lastSequence)
        return (end, rest.lastStamp)
    }

    private static func copy(
        _ length: UInt64,
        of source: StoreFile,
        to target: StoreFile
    ) throws(EngineError) {
        var offset: UInt64 = 0
        while offset < length {
            let bytes = try source.read(count: Int(min(length - offset, 256 << 10)), at: offset)
            guard !bytes.isEmpty else {
                throw .corruption(
                    "cutting the log back: the file ends",
                    file: source.name,
                    offset: offset
                )
            }
            var buffer = ByteBuffer(capacity: bytes.count)
            bytes.withUnsafeBytes { buffer.append($0) }
            try target.write(buffer, at: offset)
            offset += UInt64(bytes.count)
        }
    }

    // MARK: - Finishing

    /// Whether a cut was begun and not finished.
    func isPending() throws(EngineError) -> Bool {
        let isWritten = try hasNewFile()
        guard !isWritten else { return true }
        let numbers = try cutFiles()
        return !numbers.isEmpty
    }

    /// Does what is left of a cut once the floor was moved; nothing when there is none.
    func finish() throws(EngineError) {
        let number = markFile.mark.floor.fileNumber
        if try hasNewFile() {
            let old = try directory.open(.log(number), for: .read)
            _ = try directory.saveToQuarantine(0..<old.size(), of: old)
            try directory.durableAdopt(.log(number))
        }
        for number in try cutFiles().sorted(by: >) {
            let file = try directory.open(.log(number), for: .read)
            _ = try directory.saveToQuarantine(0..<file.size(), of: file)
            try directory.durableRemove([.log(number)])
        }
    }

    /// Whether the floor's file was written anew and is still under its temporary name.
    private func hasNewFile() throws(EngineError) -> Bool {
        let floor = markFile.mark.floor
        guard floor.fileNumber > 0,
            let file = try directory.openIfPresent(.temporaryLog(floor.fileNumber), for: .read),
            try file.size() == floor.length
        else { return false }
        guard let header = try LogCut.header(of: file, floor.fileNumber, historyID) else {
            return false
        }
        let reader = LogReader(file: file, frames: header.frames, limit: floor.length)
        while try reader.next({ _, _ in }) {}
        return reader.offset == floor.length && reader.lastSequence == floor.lastSequence
            && reader.logHash == floor.logHash
    }

    /// The numbers of the files behind a cut; empty when the log goes on from the floor.
    private func cutFiles() throws(EngineError) -> [UInt64] {
        let floor = markFile.mark.floor
        let later = try directory.list().logNumbers.filter { $0 > floor.fileNumber }
        guard floor.fileNumber > 0, later.first == floor.fileNumber + 1,
            let file = try directory.openIfPresent(.log(floor.fileNumber + 1), for: .read),
            let header = try Self.header(of: file, floor.fileNumber + 1, historyID),
            header.predecessor.fileNumber == floor.fileNumber, header.predecessor != floor
        else { return [] }
        return later
    }

    /// A file's header; `nil` when it has none.
    private static func header(
        of file: StoreFile,
        _ number: UInt64,
        _ historyID: UniqueID
    ) throws(EngineError) -> LogFileHeader? {
        let bytes = try file.read(count: LogFormat.headerSize, at: 0)
        do throws(EngineError) {
            let header = try bytes.span.withUnsafeBytes { bytes throws(EngineError) in
                try LogFileHeader(decoding: bytes, file: file.name)
            }
            return header.historyID == historyID && header.fileNumber == number ? header : nil
        } catch {
            return nil
        }
    }
}

/// What stays of a log file: the frames before an offset, and the first records of the next one.
private struct CutFrame: ~Copyable {
    private(set) var offset = UInt64(LogFormat.headerSize)
    private(set) var records = LogBuffer()
    private(set) var restarts = RestartIndex()
    private(set) var lastSequence, logHash, lastStamp: UInt64

    init(
        of file: StoreFile,
        _ header: LogFileHeader,
        length: UInt64,
        through sequence: UInt64
    ) throws(EngineError) {
        let reader = LogReader(file: file, frames: header.frames, limit: length)
        (lastSequence, logHash) = (reader.lastSequence, reader.logHash)
        lastStamp = header.baseStamp
        var stays = true
        while stays {
            var frame = LogBuffer()
            var end = (sequence: lastSequence, hash: logHash, stamp: lastStamp)
            let hasRead = try reader.next { head, operations throws(EngineError) in
                guard head.sequence <= sequence else {
                    stays = false
                    return
                }
                let isLarge = operations.count > LogFormat.largeSize
                frame.append(
                    head,
                    hashBefore: reader.hashBefore,
                    hash: reader.logHash,
                    operations: operations,
                    large: isLarge ? LargeBlock(compressing: operations) : nil
                )
                end = (head.sequence, reader.logHash, head.stamp)
            }
            (lastSequence, logHash, lastStamp) = end
            if !hasRead || reader.frame?.flags.contains(.seal) == true { break }
            guard stays else {
                records = frame
                break
            }
            if let flags = reader.frame?.flags, flags.contains(.restart) {
                restarts.append(
                    RestartIndex.Point(
                        offset: reader.frameOffset,
                        previousSequence: reader.frame?.previousSequence ?? 0
                    )
                )
            }
            offset = reader.offset
        }
    }
}
