/// Brings the files of an image of a store to a directory of backups, and lists them.
///
/// Thread safety: none; one owner, who has the directory's lock.
struct BackupWriter {
    private let image: StoreImage
    private let directory: StoreDirectory
    private let known: Set<SavedFile>
    private let lastNumber: UInt64
    private var copied: [SavedFile] = []
    private var shared: [SavedFile] = []

    init(image: StoreImage, directory: StoreDirectory, lists: [BackupList]) {
        self.image = image
        self.directory = directory
        known = Set(lists.flatMap(\.files))
        lastNumber = lists.last?.number ?? 0
    }

    /// Makes the backup, durable when this returns; when it throws, what it copied is removed as
    /// far as possible.
    mutating func run(time: UInt64) throws(EngineError) -> BackupList {
        let log = image.log
        let list: BackupList
        do throws(EngineError) {
            for info in image.segments { try bring(info) }
            var logs: [SavedFile] = []
            for part in log.parts { logs.append(try bring(part)) }
            try directory.syncEntries()
            list = BackupList(
                historyID: image.historyID,
                memberID: image.memberID,
                number: lastNumber + 1,
                time: time,
                end: log.end,
                lastStamp: log.lastStamp,
                epoch: log.epoch,
                logs: logs,
                state: image.state
            )
        } catch {
            // The next backup removes what is left.
            for file in copied { directory.removeIfPossible(file.name) }
            throw error
        }
        // Should this throw, the list may be there: the files stay.
        try directory.durableReplace(.backup(list.number), with: list.encoded())
        return list
    }

    func report(of list: BackupList) -> BackupReport {
        var report = BackupReport(backup: BackupInfo(list))
        report.copiedFiles = copied.count
        report.copiedBytes = copied.reduce(0) { $0 + $1.size }
        report.sharedFiles = shared.count
        report.sharedBytes = shared.reduce(0) { $0 + $1.size }
        return report
    }

    private mutating func bring(_ info: SegmentInfo) throws(EngineError) {
        let saved = SavedFile(info)
        if try isThere(saved) { return }
        let file = try image.directory.open(.segment(info.number), for: .read)
        try info.copy(file, historyID: image.historyID, to: directory, as: saved.name)
        copied.append(saved)
    }

    private mutating func bring(_ part: LogImage.Part) throws(EngineError) -> SavedFile {
        let file = try image.directory.open(.log(part.number), for: .read)
        let saved = SavedFile(
            kind: .log,
            number: part.number,
            size: part.length,
            checksum: try file.digest(part.length)
        )
        if try isThere(saved) { return saved }
        try saved.copy(file, to: directory, as: saved.name)
        copied.append(saved)
        return saved
    }

    /// Whether an earlier backup has brought a file; it must have its size still.
    private mutating func isThere(_ file: SavedFile) throws(EngineError) -> Bool {
        guard known.contains(file) else { return false }
        _ = try BackupDirectory.open(file, in: directory)
        shared.append(file)
        return true
    }
}

extension SavedFile {
    /// Copies the whole file to another directory, and checks every byte on the way; the name is
    /// still to be synced.
    func copy(
        _ source: StoreFile,
        to target: StoreDirectory,
        as copyName: FileName
    ) throws(EngineError) {
        let found = try target.copy(source, length: size, hashing: size, as: copyName)
        do throws(EngineError) {
            try check(found, source)
        } catch {
            target.removeIfPossible(copyName)
            throw error
        }
    }

    /// Throws when a checksum is not the file's.
    func check(_ found: UInt64, _ file: StoreFile) throws(EngineError) {
        guard found == checksum else {
            throw .corruption(
                "reading a log file: its \(size) bytes are not those that were saved",
                file: file.name,
                offset: 0
            )
        }
    }
}
