extension LogCatalog {
    /// The files of a log that was recovered and goes on in another file, with those before it that
    /// recovery did not need.
    ///
    /// A file that is damaged, or does not precede the next one, ends the row: nothing older can be
    /// read through it.
    convenience init(
        _ directory: StoreDirectory,
        historyID: UniqueID,
        recovered: RecoveredLog
    ) throws(EngineError) {
        var files: [File] = []
        var (end, stamp) = (recovered.end, recovered.lastStamp)
        let numbers = Set(try directory.list().logNumbers)
        while end.fileNumber > 0, numbers.contains(end.fileNumber) {
            let file = try directory.open(.log(end.fileNumber), for: .read)
            guard let header = try Self.header(of: file, end, historyID) else { break }
            files.append(File(header: header, end: end, lastStamp: stamp))
            (end, stamp) = (header.predecessor, header.baseStamp)
        }
        self.init(files: files.reversed(), base: recovered.end)
    }

    /// A file's header; `nil` when the file cannot be the one that ends there.
    private static func header(
        of file: StoreFile,
        _ end: LogEnd,
        _ historyID: UniqueID
    ) throws(EngineError) -> LogFileHeader? {
        guard try file.size() >= end.length else { return nil }
        let bytes = try file.read(count: LogFormat.headerSize, at: 0)
        do throws(EngineError) {
            let header = try bytes.span.withUnsafeBytes { bytes throws(EngineError) in
                try LogFileHeader(decoding: bytes, file: file.name)
            }
            let isExpected =
                header.historyID == historyID && header.fileNumber == end.fileNumber
                && header.predecessor.fileNumber < end.fileNumber
            return isExpected ? header : nil
        } catch {
            return nil
        }
    }
}
