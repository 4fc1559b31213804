/// Reads the records behind a sequence from log files, from one file into the next.
///
/// It checks that each record follows the one before, by sequence and by log hash, across files as
/// well. It keeps the file that it reads open: that may be removed meanwhile.
///
/// Thread safety: none; one owner.
final class LogFeedReader {
    private let source: any FeedSource
    private var current: OpenFile
    /// The last sequence that was handed out, or that the reading starts behind.
    private var sequence: UInt64

    /// The bytes of operations after which a batch ends.
    static let batchSize = 128 << 10
    /// The bytes that are read at a time: the first record of a reader lies at most a restart
    /// distance behind where it begins.
    private static let stepSize = 128 << 10

    /// Starts behind a sequence.
    ///
    /// - Throws: ``EngineError`` with code `trimmed` when the log does not go back that far,
    ///   `corruption` or `io`.
    init(_ source: any FeedSource, after sequence: UInt64) throws(EngineError) {
        self.source = source
        self.sequence = sequence
        current = try Self.open(source, after: sequence)
    }

    /// A file that is being read.
    private struct OpenFile {
        let number: UInt64
        let header: LogFileHeader
        let file: StoreFile
        let reader: LogReader
    }

    /// Opens the file that holds the first record behind a sequence, where that can be read.
    private static func open(
        _ source: any FeedSource,
        after sequence: UInt64
    ) throws(EngineError) -> OpenFile {
        guard let found = source.catalog.file(after: sequence) else { throw trimmed(source) }
        let file = try open(found, source)
        let limit = limit(of: found, source)
        let start = try start(in: found, file, limit: limit, source, after: sequence)
        let frames = found.header.frames
        return OpenFile(
            number: found.number,
            header: found.header,
            file: file,
            reader: LogReader(
                file: file,
                frames: frames,
                limit: limit,
                from: start,
                stepSize: stepSize
            )
        )
    }

    /// Opens a file to be read from its first frame.
    private static func openStart(
        of found: LogCatalog.File,
        _ source: any FeedSource
    ) throws(EngineError) -> OpenFile {
        let file = try open(found, source)
        let limit = limit(of: found, source)
        return OpenFile(
            number: found.number,
            header: found.header,
            file: file,
            reader: LogReader(
                file: file,
                frames: found.header.frames,
                limit: limit,
                stepSize: stepSize
            )
        )
    }

    static func trimmed(_ source: any FeedSource) -> EngineError {
        let oldest = source.catalog.oldest.lastSequence
        return EngineError(
            .trimmed,
            "reading the log: it does not go back that far, the oldest position is \(oldest)",
            sequence: oldest
        )
    }

    /// Opens a file; one that is gone was trimmed meanwhile.
    private static func open(
        _ found: LogCatalog.File,
        _ source: any FeedSource
    ) throws(EngineError) -> StoreFile {
        guard let file = try source.directory.openIfPresent(.log(found.number), for: .read) else {
            throw source.catalog.file(number: found.number) == nil
                ? trimmed(source)
                : .corruption(
                    "reading the log: the file is missing",
                    file: FileName.log(found.number).description,
                    offset: 0
                )
        }
        return file
    }

    /// Up to where a file may be read now.
    private static func limit(
        of found: LogCatalog.File,
        _ source: any FeedSource
    ) -> UInt64 {
        if let end = found.end { return end.length }
        let appended = source.appendedEnd
        // The file may have been finished since it was looked up.
        if let end = source.catalog.file(number: found.number)?.end { return end.length }
        guard let appended, appended.fileNumber == found.number else {
            return UInt64(LogFormat.headerSize)
        }
        return appended.length
    }

    /// The offset of a restart frame at or before the first record behind a sequence; `nil` for the
    /// beginning of the file.
    private static func start(
        in found: LogCatalog.File,
        _ file: StoreFile,
        limit: UInt64,
        _ source: any FeedSource,
        after sequence: UInt64
    ) throws(EngineError) -> UInt64? {
        guard sequence > found.header.predecessor.lastSequence else { return nil }
        if let known = found.restarts { return known.start(after: sequence)?.offset }
        let restarts = try RestartIndex(reading: file, found.header, length: limit)
        if found.end != nil { source.catalog.learn(restarts, ofFile: found.number) }
        return restarts.start(after: sequence)?.offset
    }

    // MARK: - Reading

    /// The records that come next, as far as they are in files; `nil` when there are no more now.
    ///
    /// - Throws: ``EngineError`` with code `trimmed`, `corruption` or `io`.
    func next() throws(EngineError) -> RecordBatch? {
        while true {
            if let batch = try readBatch() { return batch }
            guard try moveOn() else { return nil }
        }
    }

    private func readBatch() throws(EngineError) -> RecordBatch? {
        var builder: RecordBatch.Builder?
        let (epoch, reader) = (current.header.epoch, current.reader)
        while (builder?.size ?? 0) < Self.batchSize {
            let hasRead = try reader.next { head, operations throws(EngineError) in
                guard head.sequence > sequence else { return }
                if builder == nil {
                    builder = RecordBatch.Builder(
                        epoch: epoch,
                        previousSequence: head.previousSequence,
                        hashBefore: reader.hashBefore
                    )
                }
                builder?.append(head, hash: reader.logHash, operations: operations)
                sequence = head.sequence
            }
            guard hasRead else { break }
        }
        return builder.take()?.finish()
    }

    /// Goes on to what was appended since, or to the next file; `false` when there is neither.
    private func moveOn() throws(EngineError) -> Bool {
        guard let known = source.catalog.file(number: current.number) else {
            // The file was trimmed; all that matters is whether it was read to its end.
            current = try Self.open(source, after: sequence)
            return true
        }
        let offset = current.reader.offset
        let limit = Self.limit(of: known, source)
        try checkStop(before: limit)
        current.reader.extend(to: limit)
        if limit > offset { return true }
        guard let end = known.end, let next = source.catalog.file(number: known.number + 1) else {
            return false
        }
        try checkEnd(end)
        guard next.header.predecessor == end else {
            throw .corruption(
                "reading the log: the header names another predecessor",
                file: FileName.log(next.number).description,
                offset: 104
            )
        }
        current = try Self.openStart(of: next, source)
        return true
    }

    /// Refuses a file that cannot be read as far as it was written.
    private func checkStop(before limit: UInt64) throws(EngineError) {
        let reader = current.reader
        guard reader.offset < limit, let stop = reader.stop, stop != .endOfFile else { return }
        throw .corruption(
            "reading the log: \(stop.rawValue), \(limit) bytes were written",
            file: current.file.name,
            offset: reader.offset
        )
    }

    /// Refuses a finished file that does not end as its successor says.
    private func checkEnd(_ end: LogEnd) throws(EngineError) {
        let reader = current.reader
        guard reader.offset == end.length, reader.lastSequence == end.lastSequence,
            reader.logHash == end.logHash
        else {
            throw .corruption(
                "reading the log: \(reader.stop?.rawValue ?? "") after sequence "
                    + "\(reader.lastSequence), expected \(end.lastSequence) at \(end.length)",
                file: current.file.name,
                offset: reader.offset
            )
        }
    }
}

extension RestartIndex {
    /// Finds the restart frames of a file of some length: from its seal, or by passing over all of
    /// its frames where it has none.
    init(
        reading file: StoreFile,
        _ header: LogFileHeader,
        length: UInt64
    ) throws(EngineError) {
        if let sealed = try Self.inSeal(of: file, header, length: length) {
            self = sealed
        } else {
            self = try Self.byScan(of: file, header, length: length)
        }
    }

    /// The index in the seal that ends at a length; `nil` when there is none.
    private static func inSeal(
        of file: StoreFile,
        _ header: LogFileHeader,
        length: UInt64
    ) throws(EngineError) -> RestartIndex? {
        let sizeMax = UInt64(FrameHeader.encodedSizeMax + encodedSizeMax + LogFormat.alignment)
        let alignment = UInt64(LogFormat.alignment)
        let lowest = max(UInt64(LogFormat.headerSize), length - min(length, sizeMax))
        var input = FileInput(file: file, limit: length, stepSize: Int(sizeMax))
        guard length % alignment == 0, length > lowest else { return nil }
        _ = try input.bytes(at: lowest / alignment * alignment, upTo: Int(sizeMax))
        var offset = length
        while offset >= lowest + alignment {
            offset -= alignment
            let bytes = try input.bytes(at: offset, upTo: FrameHeader.encodedSizeMax)
            var size = 0
            guard
                let frame = FrameHeader(
                    decoding: bytes,
                    at: offset,
                    of: header.frames,
                    headerSize: &size
                )
            else { continue }
            let end = offset + UInt64(LogFormat.aligned(size + frame.storedSize))
            guard frame.flags.contains(.seal), end == length else { return nil }
            let payload = try input.bytes(at: offset + UInt64(size), count: frame.storedSize)
            guard Checksum.xxh3(payload) == frame.payloadHash else { return nil }
            return RestartIndex(decoding: payload, base: header.predecessor.lastSequence)
        }
        return nil
    }

    /// Reads the headers of all frames up to a length.
    private static func byScan(
        of file: StoreFile,
        _ header: LogFileHeader,
        length: UInt64
    ) throws(EngineError) -> RestartIndex {
        var index = RestartIndex()
        var input = FileInput(file: file, limit: length)
        var offset = UInt64(LogFormat.headerSize)
        while offset < length {
            let bytes = try input.bytes(at: offset, upTo: FrameHeader.encodedSizeMax)
            var size = 0
            guard
                let frame = FrameHeader(
                    decoding: bytes,
                    at: offset,
                    of: header.frames,
                    headerSize: &size
                )
            else { return index }
            if frame.flags.contains(.restart) {
                index.append(Point(offset: offset, previousSequence: frame.previousSequence))
            }
            offset += UInt64(LogFormat.aligned(size + frame.storedSize))
        }
        return index
    }
}
