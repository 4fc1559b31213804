// Reads a log while an engine appends to it, from file to file. It reads, and never locks or
// writes; nothing tells it of a change, so it is asked again and again.
//
// 1. Of the last file frames are believed as far as they follow each other and their hashes are
//    right. What is behind the last good one is being written, or torn; it is looked at again.
// 2. A file is left when the next one has a header, and was read as far as that says. What cannot
//    be read then is damage, and ends the following.
// 3. Frames that were read beyond that length were torn off by a recovery, which wrote their
//    records again into the next file: they are handed out a second time.

/// Follows the log of a directory.
///
/// Thread safety: none.
package final class LogFollower {
    /// What came of looking at the log.
    package enum Outcome {
        /// There may be more at once.
        case more
        /// There is nothing now.
        case nothing
        /// Nothing can be read on: a file is damaged, or missing.
        case damaged, missing
    }

    private let directory: StoreDirectory
    private let from: UInt64
    private var current: OpenFile?

    private struct OpenFile {
        let number: UInt64
        let file: StoreFile
        let reader: LogReader
    }

    /// Follows the log of a store's directory; files that only hold records before the sequence are
    /// left out.
    package init(path: String, from sequence: UInt64) throws(EngineError) {
        directory = try StoreInspector.openDirectory(path)
        from = sequence
    }

    /// Hands out what was appended since the last call, of one file.
    package func poll(_ handle: LogInspector.Handler) throws -> Outcome {
        guard let current else { return try begin(handle) }
        if try read(current, handle) { return .more }
        guard let next = try header(current.number + 1) else {
            return try isSuperseded(current.number, handle) ? .missing : .nothing
        }
        // What the next file's header says of this one was there before it.
        if try read(current, handle) { return .more }
        return try moveOn(from: current, to: next, handle)
    }

    // MARK: - Frames

    /// Hands out the frames that are there; `false` for none.
    private func read(_ current: OpenFile, _ handle: LogInspector.Handler) throws -> Bool {
        let reader = current.reader
        let start = reader.offset
        if reader.stop != nil {
            let head = try current.file.read(count: FrameHeader.encodedSizeMax, at: start)
            guard head.contains(where: { $0 != 0 }) else { return false }
            reader.readOn(to: try current.file.size())
        }
        while try readFrame(current, handle) {}
        return reader.offset > start
    }

    private func readFrame(_ current: OpenFile, _ handle: LogInspector.Handler) throws -> Bool {
        let place = LogPlace(file: current.file.name, offset: current.reader.offset)
        var records: [(head: RecordHead, operations: [UInt8])] = []
        let isGood = try current.reader.next { head, operations throws(EngineError) in
            records.append((head, Array(operations)))
        }
        guard isGood, let frame = current.reader.frame else { return false }
        try handle(place, .frame(frame))
        for record in records {
            try handle(place, .record(record.head, operations: record.operations))
        }
        return true
    }

    // MARK: - Files

    /// Begins with the last file that holds everything from the wanted sequence on, or with the
    /// first.
    private func begin(_ handle: LogInspector.Handler) throws -> Outcome {
        var found: Header?
        for number in try directory.list().logNumbers {
            guard let next = try header(number) else { continue }
            guard found == nil || next.header.predecessor.lastSequence < from else { break }
            found = next
        }
        guard let found else { return .nothing }
        try open(found, handle)
        return .more
    }

    private struct Header {
        let file: StoreFile
        let header: LogFileHeader
    }

    /// A file's header; `nil` when the file is gone, or was only made ahead.
    private func header(_ number: UInt64) throws(EngineError) -> Header? {
        guard let file = try directory.openIfPresent(.log(number), for: .read) else { return nil }
        let bytes = try file.read(count: LogFormat.headerSize, at: 0)
        guard bytes.contains(where: { $0 != 0 }) else { return nil }
        let header = try bytes.span.withUnsafeBytes { bytes throws(EngineError) in
            try LogFileHeader(decoding: bytes, file: file.name)
        }
        return Header(file: file, header: header)
    }

    private func open(_ found: Header, _ handle: LogInspector.Handler) throws {
        let (file, header) = (found.file, found.header)
        let size = try file.size()
        try handle(LogPlace(file: file.name, offset: 0), .file(header, size: size))
        current = OpenFile(
            number: header.fileNumber,
            file: file,
            reader: LogReader(file: file, frames: header.frames, limit: size)
        )
    }

    /// Goes on to the next file, when this one was read as far as it says.
    private func moveOn(
        from current: OpenFile,
        to next: Header,
        _ handle: LogInspector.Handler
    ) throws -> Outcome {
        let end = next.header.predecessor
        let reader = current.reader
        let place = LogPlace(file: current.file.name, offset: reader.offset)
        guard reader.offset >= end.length else {
            let gap = LogEvent.gap(
                length: end.length - reader.offset,
                reason: reader.stop?.rawValue ?? "",
                after: reader.lastSequence,
                isDamage: true
            )
            try handle(place, gap)
            return .damaged
        }
        let isSame = reader.lastSequence == end.lastSequence && reader.logHash == end.logHash
        guard end.fileNumber == current.number, isSame || reader.offset > end.length else {
            let error = EngineError(
                .corruption,
                "following the log: the header names another end of the file before",
                file: next.file.name,
                offset: 104
            )
            try handle(place, .error(error))
            return .damaged
        }
        try open(next, handle)
        return .more
    }

    /// Whether the file that comes next was removed before it was read.
    private func isSuperseded(
        _ number: UInt64,
        _ handle: LogInspector.Handler
    ) throws -> Bool {
        let later = try directory.list().logNumbers.filter { $0 > number }
        guard let first = later.first, first > number + 1 else { return false }
        let name = FileName.log(first).description
        let error = EngineError(
            .logGap,
            "following the log: files before number \(first) are gone",
            file: name
        )
        try handle(LogPlace(file: name, offset: 0), .error(error))
        return true
    }
}
