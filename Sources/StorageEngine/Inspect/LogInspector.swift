// Looks at the files of a log, whole or damaged, beside a running engine or without one. It reads,
// and never locks or writes.
//
// 1. A file with a successor, or named by the store's floor, ends at the recorded length; what lies
//    behind that was superseded. The last file ends where its frames end.
// 2. At a bad frame the inspector looks for the next restart frame, 8 bytes at a time, reports the
//    gap and goes on there.
// 3. Files before the start of the log, which the manifest names, may be there or gone.
// 4. A bad frame is damage when a record of the length or a later frame's syncedThrough proves that
//    it was synced; otherwise it is the torn, or unfinished, end of the log.

/// What an inspection comes across, in the order of the files.
package enum LogEvent {
    /// A log file and its header; `nil` when the file was made ahead and never used.
    case file(LogFileHeader?, size: UInt64)
    case frame(FrameHeader)
    /// A record and its encoded operations.
    case record(RecordHead, operations: [UInt8])
    /// Bytes that hold no frames that can be read. `isDamage`: they once did, and were synced.
    case gap(length: UInt64, reason: String, after: UInt64, isDamage: Bool)
    case error(EngineError)
}

/// Where an event was found.
package struct LogPlace: Sendable, Hashable {
    package let file: String
    package let offset: UInt64

    package init(file: String, offset: UInt64) {
        self.file = file
        self.offset = offset
    }
}

/// What an inspection found in all.
package struct LogInspection: Sendable, Hashable {
    package var files = 0, frames = 0, records = 0, gaps = 0
    package var isDamaged = false
    /// Whether a log file is missing, or is not the one that follows.
    package var hasMissingFiles = false
    package var lastSequence: UInt64 = 0
    package init() {}
}

/// Reads the log of a directory, tolerantly.
package struct LogInspector {
    package typealias Handler = (LogPlace, LogEvent) throws -> Void

    private let directory: StoreDirectory
    private let numbers: [UInt64]?
    private let floor: LogEnd?

    /// Opens a directory. `numbers`: only these log files; all when `nil`.
    package init(path: String, numbers: [UInt64]? = nil) throws(EngineError) {
        directory = try StoreDirectory.open(
            path: path,
            in: PosixFileSystem(),
            allowsSharedWriting: true
        )
        self.numbers = numbers
        floor = Self.readFloor(directory)
    }

    /// Looks at a directory of any file system.
    package init(_ directory: StoreDirectory) {
        self.directory = directory
        numbers = nil
        floor = Self.readFloor(directory)
    }

    /// What the store's mark proves; `nil` when there is none that can be read.
    private static func readFloor(_ directory: StoreDirectory) -> LogEnd? {
        do throws(EngineError) {
            return try StoreInspector.mark(of: directory)?.floor
        } catch {
            return nil
        }
    }

    /// Reads all files and hands every event to a closure.
    package func run(_ handle: Handler) throws -> LogInspection {
        try run(handle) { file, successor, inspection in
            try inspect(file, successor: successor, &inspection, handle)
        }
    }

    /// Reads the headers of all files and hands files and errors to a closure.
    package func runHeaders(_ handle: Handler) throws -> LogInspection {
        try run(handle) { file, _, inspection in
            _ = try inspectHeader(file, &inspection, handle)
        }
    }

    private func run(
        _ handle: Handler,
        _ inspect: (OpenFile, LogFileHeader?, inout LogInspection) throws -> Void
    ) throws -> LogInspection {
        var inspection = LogInspection()
        let (files, start) = try openFiles()
        var previous = start ?? files.first.map { $0.number - 1 } ?? 0
        for (index, file) in files.enumerated() {
            // What lies before the start is not needed any more: some of it may be gone.
            if numbers == nil, file.number > previous + 1 {
                inspection.hasMissingFiles = true
                let error = EngineError(
                    .logGap,
                    "log files before number \(file.number) are missing",
                    file: file.file.name
                )
                try handle(LogPlace(file: file.file.name, offset: 0), .error(error))
            }
            previous = max(previous, file.number)
            let successor = index + 1 < files.count ? files[index + 1].header : nil
            try inspect(file, successor, &inspection)
        }
        try checkEnd(max(files.last?.number ?? 0, start ?? 0), &inspection, handle)
        return inspection
    }

    private func checkEnd(
        _ last: UInt64,
        _ inspection: inout LogInspection,
        _ handle: Handler
    ) throws {
        guard numbers == nil, let floor, floor.fileNumber > last else { return }
        inspection.hasMissingFiles = true
        let name = FileName.log(floor.fileNumber).description
        let error = EngineError(.logGap, "the log file that STORE names is missing", file: name)
        try handle(LogPlace(file: name, offset: 0), .error(error))
    }

    // MARK: - Files

    private struct OpenFile {
        let file: StoreFile
        let number: UInt64
        let size: UInt64
        let header: LogFileHeader?
        let headerError: EngineError?
    }

    /// Opens the log files, and tells the last one that the manifest says is not needed any more;
    /// `nil` when the manifest is damaged.
    ///
    /// It lists again when a file vanished or the start moved meanwhile, as beside an engine.
    private func openFiles() throws -> (files: [OpenFile], start: UInt64?) {
        guard numbers == nil else { return (try openListed(), nil) }
        var start = readStart()
        for _ in 1..<StoreInspector.triesMax {
            do throws(EngineError) {
                let files = try openListed()
                let next = readStart()
                if next == start { return (files, start) }
                start = next
            } catch {
                guard error.isMissingFile else { throw error }
            }
        }
        return (try openListed(), start)
    }

    private func readStart() -> UInt64? {
        do {
            let store = try StoreInspector.read(directory) { _, _ in }
            guard store.manifestNumber > 0 else { return 0 }
            return store.manifest.isDamaged ? nil : store.manifest.state.logStart.fileNumber
        } catch {
            return error is EngineError ? 0 : nil
        }
    }

    private func openListed() throws(EngineError) -> [OpenFile] {
        var files: [OpenFile] = []
        let listed = try directory.list().logNumbers
        for number in numbers ?? listed {
            let file = try directory.open(.log(number), for: .read)
            let size = try file.size()
            let bytes = try file.read(count: LogFormat.headerSize, at: 0)
            var header: LogFileHeader?
            var failure: EngineError?
            do throws(EngineError) {
                header = try bytes.span.withUnsafeBytes { bytes throws(EngineError) in
                    try LogFileHeader(decoding: bytes, file: file.name)
                }
            } catch {
                failure = bytes.allSatisfy { $0 == 0 } ? nil : error
            }
            files.append(
                OpenFile(
                    file: file,
                    number: number,
                    size: size,
                    header: header,
                    headerError: failure
                )
            )
        }
        return files
    }

    // MARK: - Frames

    private func inspect(
        _ file: OpenFile,
        successor: LogFileHeader?,
        _ inspection: inout LogInspection,
        _ handle: Handler
    ) throws {
        guard let header = try inspectHeader(file, &inspection, handle) else { return }
        let recorded = recordedLength(of: file, successor: successor)
        let limit = min(recorded ?? file.size, file.size)
        var walk = LogWalk(
            file: file.file,
            header: header,
            limit: limit,
            isFinished: recorded != nil
        )
        while try walk.next(&inspection, handle) {}
        inspection.lastSequence = max(inspection.lastSequence, walk.reader.lastSequence)
        if let recorded, recorded > file.size {
            inspection.isDamaged = true
            let gap = LogEvent.gap(
                length: recorded - file.size,
                reason: "the file is too short",
                after: walk.reader.lastSequence,
                isDamage: true
            )
            try handle(LogPlace(file: file.file.name, offset: file.size), gap)
        }
    }

    /// Tells of a file; `nil` when it has no header, and hence no frames.
    private func inspectHeader(
        _ file: OpenFile,
        _ inspection: inout LogInspection,
        _ handle: Handler
    ) throws -> LogFileHeader? {
        let start = LogPlace(file: file.file.name, offset: 0)
        inspection.files += 1
        if let error = file.headerError {
            inspection.isDamaged = true
            try handle(start, .error(error))
            return nil
        }
        try handle(start, .file(file.header, size: file.size))
        return file.header
    }

    private func recordedLength(of file: OpenFile, successor: LogFileHeader?) -> UInt64? {
        if let end = successor?.predecessor, end.fileNumber == file.number { return end.length }
        return floor?.fileNumber == file.number ? floor?.length : nil
    }
}
