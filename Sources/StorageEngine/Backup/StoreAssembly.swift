/// Makes a store of files that were brought to a directory.
struct StoreAssembly: Sendable {
    let historyID: UniqueID
    /// Names the new directory.
    let memberID: UniqueID
    let state: ManifestState
    /// Where the log ends; the file was synced up to there.
    let end: LogEnd
    let lastStamp: UInt64

    /// Writes the manifest anew, and at last the mark that makes the directory a store.
    func finish(in directory: StoreDirectory) throws(EngineError) {
        let mark = StoreMark(
            historyID: historyID,
            memberID: memberID,
            floor: end,
            lastStamp: lastStamp
        )
        // The mark is only written once it names a manifest.
        let markFile = StoreMarkFile(directory: directory, mark: mark)
        let writer = ManifestWriter(directory: directory, markFile: markFile, state: state)
        try writer.commit(VersionEdit())
        try writer.close()
    }
}

extension SegmentInfo {
    /// Copies the file of the segment to another directory, and checks every byte on the way.
    ///
    /// - Returns: The copy's name is still to be synced.
    /// - Throws: ``EngineError`` with code `corruption` when the file is not the segment, `io` or
    ///   `noSpace`.
    func copy(
        _ source: StoreFile,
        historyID: UniqueID,
        to directory: StoreDirectory,
        as name: FileName
    ) throws(EngineError) {
        let hashed = try checkFooter(of: source, historyID: historyID)
        let found = try directory.copy(source, length: size, hashing: hashed, as: name)
        guard found == checksum else {
            directory.removeIfPossible(name)
            throw wrongBytes(source)
        }
    }

    /// Reads the file of the segment, and checks every byte.
    func verify(_ file: StoreFile, historyID: UniqueID) throws(EngineError) {
        let hashed = try checkFooter(of: file, historyID: historyID)
        guard try file.digest(hashed) == checksum else { throw wrongBytes(file) }
    }

    private func wrongBytes(_ file: StoreFile) -> EngineError {
        .corruption(
            "reading a segment: its \(size) bytes are not those that were written",
            file: file.name,
            offset: 0
        )
    }

    /// Checks that a file ends as the segment does, and returns how many bytes its checksum covers.
    private func checkFooter(
        of file: StoreFile,
        historyID: UniqueID
    ) throws(EngineError) -> UInt64 {
        let footer = try Segment.footer(of: file)
        guard footer.historyID == historyID, footer.fileNumber == number, footer.fileSize == size,
            footer.contentChecksum == checksum
        else {
            throw .corruption(
                "reading a segment: it is number \(footer.fileNumber) of \(footer.fileSize) "
                    + "bytes, expected number \(number) of \(size) bytes",
                file: file.name,
                offset: size - min(size, UInt64(SegmentFormat.tailSize))
            )
        }
        return size - UInt64(SegmentFooter.size(sectionCount: footer.sections.count))
    }
}
