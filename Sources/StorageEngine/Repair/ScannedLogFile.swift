/// A log file as it is found, perhaps damaged.
struct ScannedLogFile {
    let file: StoreFile
    /// As the name says.
    let nameNumber: UInt64
    let size: UInt64
    /// `nil` when it cannot be read, and for a file that was made ahead and never used.
    var header: LogFileHeader?
    /// Why there is no header; `nil` for a file that was never used.
    var failure: EngineError?

    /// As the header says, which the frames are bound to.
    var number: UInt64 { header?.fileNumber ?? nameNumber }
    var name: FileName { .log(nameNumber) }

    init(
        _ number: UInt64,
        in directory: StoreDirectory,
        historyID: UniqueID
    ) throws(EngineError) {
        file = try directory.open(.log(number), for: .read)
        nameNumber = number
        size = try file.size()
        do throws(EngineError) {
            let bytes = try file.read(count: LogFormat.headerSize, at: 0)
            let header = try bytes.span.withUnsafeBytes { bytes throws(EngineError) in
                try LogFileHeader(decoding: bytes, file: file.name)
            }
            guard header.historyID == historyID else {
                throw .corruption(
                    "opening a log file: the header is of history \(header.historyID)",
                    file: file.name,
                    offset: 32
                )
            }
            self.header = header
        } catch {
            guard !error.isOfSystem else { throw error }
            failure = error
        }
    }

    /// The end of the bytes that are not zero, from an offset on; the offset when there are none.
    func usedEnd(from offset: UInt64) throws(EngineError) -> UInt64 {
        var input = FileInput(file: file, limit: size)
        return try input.lastNonZero(from: offset, to: size).map { $0 + 1 } ?? offset
    }

    /// The log files behind a number, ordered as their headers say. Of several that claim one
    /// number the one with the right name does have it.
    static func all(
        in directory: StoreDirectory,
        historyID: UniqueID,
        behind start: UInt64,
        floor: LogEnd
    ) throws(EngineError) -> [ScannedLogFile] {
        var files: [ScannedLogFile] = []
        for number in try directory.list().logNumbers where number > start {
            files.append(try ScannedLogFile(number, in: directory, historyID: historyID))
        }
        let named = Set(files.filter { $0.number == $0.nameNumber }.map(\.nameNumber))
        var seen: Set<UInt64> = []
        for index in files.indices {
            guard let header = files[index].header else { continue }
            let number = header.fileNumber
            let isCopy = number != files[index].nameNumber && named.contains(number)
            if isCopy || number <= start || !seen.insert(number).inserted {
                files[index].header = nil
                files[index].failure = .corruption(
                    "opening a log file: the header is of file number \(number)",
                    file: files[index].file.name,
                    offset: 64
                )
            }
        }
        for index in files.indices where try files[index].isUnused(floor) {
            files[index].failure = nil
        }
        return files.sorted { ($0.number, $0.nameNumber) < ($1.number, $1.nameNumber) }
    }

    /// Whether it is a file that was being made when the engine ended.
    private func isUnused(_ floor: LogEnd) throws(EngineError) -> Bool {
        guard let failure, failure.code == .corruption, nameNumber > floor.fileNumber else {
            return false
        }
        let headerSize = UInt64(LogFormat.headerSize)
        guard size > headerSize else { return try usedEnd(from: 0) == 0 }
        return try usedEnd(from: headerSize) == headerSize
    }
}
