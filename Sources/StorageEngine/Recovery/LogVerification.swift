/// What a verification read.
public struct VerificationReport: Sendable, Hashable {
    /// Log files, frames and records that were read and are good.
    public internal(set) var files = 0, frames: UInt64 = 0, records: UInt64 = 0
    /// Bytes of records before compression, and of log files up to their logical ends.
    public internal(set) var rawBytes: UInt64 = 0, storedBytes: UInt64 = 0
    /// Bytes of frames as they were written, with headers and padding; file headers are left out.
    public internal(set) var frameBytes: UInt64 = 0
    /// The epoch of the last log file; `nil` when nothing was ever written.
    public internal(set) var epoch: Epoch?
    /// Segments that were read and are good, the versions in them, and their bytes.
    public internal(set) var segments = 0, segmentEntries: UInt64 = 0, segmentBytes: UInt64 = 0
}

/// Reads the log files of a store that is open, and checks all that can be checked.
struct LogVerification {
    let directory: StoreDirectory
    let historyID: UniqueID

    /// Reads all files behind an obsolete one; `liveEnd` is what has been appended to the one that
    /// is being written.
    func run(
        liveEnd: LogLength?,
        behind obsolete: UInt64 = 0
    ) throws(EngineError) -> VerificationReport {
        var report = VerificationReport()
        var files: [(file: StoreFile, header: LogFileHeader)] = []
        for number in try directory.list().logNumbers where number > obsolete {
            if let liveEnd, number > liveEnd.fileNumber { break }
            let file = try directory.open(.log(number), for: .read)
            guard let header = try header(of: file, number: number) else { break }
            files.append((file, header))
        }
        for (index, file) in files.enumerated() {
            let isLast = index + 1 == files.count
            let limit = file.header.fileNumber == liveEnd?.fileNumber ? liveEnd?.length : nil
            try verify(
                file.file,
                file.header,
                successor: isLast ? nil : files[index + 1].header,
                limit: limit,
                into: &report
            )
        }
        return report
    }

    /// The header of a file; `nil` when nothing was ever written to it.
    private func header(
        of file: StoreFile,
        number: UInt64
    ) throws(EngineError) -> LogFileHeader? {
        let bytes = try file.read(count: LogFormat.headerSize, at: 0)
        if bytes.allSatisfy({ $0 == 0 }) { return nil }
        let header = try bytes.span.withUnsafeBytes { bytes throws(EngineError) in
            try LogFileHeader(decoding: bytes, file: file.name)
        }
        guard header.historyID == historyID, header.fileNumber == number else {
            throw .corruption(
                "verifying the log: another file's header",
                file: file.name,
                offset: 32
            )
        }
        return header
    }

    private func verify(
        _ file: StoreFile,
        _ header: LogFileHeader,
        successor: LogFileHeader?,
        limit: UInt64?,
        into report: inout VerificationReport
    ) throws(EngineError) {
        let size = try file.size()
        let length = successor?.predecessor.length ?? limit
        let reader = LogReader(file: file, frames: header.frames, limit: min(length ?? size, size))
        var records: UInt64 = 0
        while try reader.next({ _, operations throws(EngineError) in
            records += 1
            try Self.check(operations, file: file.name, at: reader.offset)
        }) {
            report.frames += 1
            report.rawBytes += UInt64(reader.frame?.rawSize ?? 0)
        }
        let end = LogEnd(
            fileNumber: header.fileNumber,
            length: reader.offset,
            lastSequence: reader.lastSequence,
            logHash: reader.logHash
        )
        guard reader.offset == length ?? reader.offset, end == successor?.predecessor ?? end else {
            throw .corruption(
                "verifying the log: \(reader.stop?.rawValue ?? ""), \(length ?? 0) bytes were "
                    + "written",
                file: file.name,
                offset: reader.offset
            )
        }
        report.files += 1
        report.records += records
        report.storedBytes += reader.offset
        report.frameBytes += reader.offset - UInt64(LogFormat.headerSize)
        report.epoch = header.epoch
    }

    private static func check(
        _ operations: UnsafeRawBufferPointer,
        file: String,
        at offset: UInt64
    ) throws(EngineError) {
        var reader = OperationReader(operations)
        do throws(DecodingFailure) {
            while try reader.next() != nil {}
        } catch {
            throw .corruption("verifying the log: \(error.reason)", file: file, offset: offset)
        }
    }
}
