internal import Glibc

/// A directory of backups of one history, which share their files. `BackupFormat.swift` specifies
/// it.
///
/// ```swift
/// try engine.backup(to: "/backups/store", keeping: 7)
/// let backups = BackupDirectory(path: "/backups/store")
/// try backups.restore(to: "/var/lib/restored")
/// ```
///
/// A directory is used by one backup, or by any number of readers, at a time; `locked` is thrown
/// otherwise. No call needs an engine, and every call blocks until it is done.
///
/// Thread safety: every method may be called from any thread.
public struct BackupDirectory: Sendable {
    /// The directory, as it was given.
    public let path: String
    private let environment: Environment

    /// Names a directory of backups, which need not be there yet.
    public init(path: String) { self.init(path: path, environment: .system()) }

    package init(path: String, environment: Environment) {
        self.path = path
        self.environment = environment
    }

    // MARK: - Reading

    /// The backups, the oldest first.
    ///
    /// - Throws: ``EngineError`` with code `corruption` or `unsupportedFormat` when one cannot be
    ///   read, `notAStore` when there is no such directory, `locked` or `io`.
    public func list() throws(EngineError) -> [BackupInfo] {
        try reading { directory throws(EngineError) in
            try Self.lists(in: directory).map(BackupInfo.init)
        }
    }

    /// Reads every file of every backup and checks every byte.
    ///
    /// - Returns: What was read, and what is wrong.
    /// - Throws: ``EngineError`` with code `notAStore` when there is no such directory, `locked` or
    ///   `io`.
    public func verify() throws(EngineError) -> BackupVerification {
        try reading { directory throws(EngineError) in
            var found = BackupVerification()
            var seen: Set<SavedFile> = []
            for number in try directory.list().backupNumbers {
                do throws(EngineError) {
                    let list = try BackupList.read(number, in: directory)
                    found.backups += 1
                    try Self.verify(list, in: directory, &seen, &found)
                } catch {
                    try Self.note(error, in: &found)
                }
            }
            return found
        }
    }

    private static func verify(
        _ list: BackupList,
        in directory: StoreDirectory,
        _ seen: inout Set<SavedFile>,
        _ found: inout BackupVerification
    ) throws(EngineError) {
        for file in list.files where seen.insert(file).inserted {
            found.files += 1
            do throws(EngineError) {
                try check(file, of: list.historyID, in: directory)
                found.bytes += file.size
            } catch {
                try note(error, in: &found)
            }
        }
    }

    /// Notes damage; what the system refused is thrown.
    private static func note(
        _ error: EngineError,
        in found: inout BackupVerification
    ) throws(EngineError) {
        guard error.code == .corruption || error.code == .unsupportedFormat else { throw error }
        found.damages.append(error)
    }

    /// Makes a store of a backup, in a directory of its own; every byte is checked on the way.
    ///
    /// The store has the history of the backup and a new member id, and begins a new epoch with its
    /// first write. After a crash it is there as a whole or not at all.
    ///
    /// - Parameters:
    ///   - target: The store's path; absent, or an empty directory. Its parent must exist.
    ///   - number: Which backup; `nil` for the newest.
    /// - Returns: The backup.
    /// - Throws: ``EngineError`` with code `corruption` and the file when the backup is damaged,
    ///   `invalidArgument` when there is no such backup or something is in the way, `notAStore`
    ///   when there is no such directory, `unsupportedFormat`, `locked`, `io` or `noSpace`.
    @discardableResult
    public func restore(to target: String, backup number: UInt64? = nil) throws(EngineError)
        -> BackupInfo
    {
        try reading { directory throws(EngineError) in
            let numbers = try directory.list().backupNumbers
            guard let chosen = number ?? numbers.last, numbers.contains(chosen) else {
                let wanted = number.map { "number \($0)" } ?? "at all"
                throw .invalidArgument("there is no backup \(wanted) in \(path)")
            }
            let list = try BackupList.read(chosen, in: directory)
            let staged = try StagedDirectory(path: target, in: environment.fileSystem)
            do throws(EngineError) {
                try bring(list, from: directory, to: staged.directory)
            } catch {
                staged.discard()
                throw error
            }
            try staged.commit()
            return BackupInfo(list)
        }
    }

    private func bring(
        _ list: BackupList,
        from directory: StoreDirectory,
        to target: StoreDirectory
    ) throws(EngineError) {
        for info in list.segments {
            let file = try Self.open(SavedFile(info), in: directory)
            let name = FileName.segment(info.number)
            try info.copy(file, historyID: list.historyID, to: target, as: name)
        }
        for log in list.logs {
            let file = try Self.open(log, in: directory)
            try log.copy(file, to: target, as: .log(log.number))
        }
        // Every name is durable before the mark says that this is a store.
        try target.syncEntries()
        let store = StoreAssembly(
            historyID: list.historyID,
            memberID: environment.uniqueID(),
            state: list.state,
            end: list.end,
            lastStamp: list.lastStamp
        )
        try store.finish(in: target)
    }

    // MARK: - Changing

    /// Removes the oldest backups, and the files that no other has.
    ///
    /// - Parameter count: How many to keep; at least 1.
    /// - Returns: How many were removed.
    /// - Throws: ``EngineError`` with code `corruption` or `unsupportedFormat` when one cannot be
    ///   read: nothing is removed then; `invalidArgument`, `notAStore`, `locked` or `io`.
    @discardableResult
    public func prune(keeping count: Int) throws(EngineError) -> Int {
        try Self.check(keeping: count)
        let directory = try open()
        return try locked(directory, exclusive: true) { () throws(EngineError) in
            try Self.prune(directory, Self.lists(in: directory), keeping: count)
        }
    }

    /// Adds a backup of an image of a store.
    func add(_ image: StoreImage, keeping count: Int?) throws(EngineError) -> BackupReport {
        try Self.check(keeping: count ?? 1)
        let directory = try StoreDirectory.make(path: path, in: environment.fileSystem)
        try Self.checkVacant(directory, path)
        return try locked(directory, exclusive: true) { () throws(EngineError) in
            let lists = try Self.lists(in: directory)
            if let other = lists.first(where: { $0.historyID != image.historyID }) {
                throw .invalidArgument(
                    "\(path) holds backups of history \(other.historyID), the store is of history "
                        + "\(image.historyID)"
                )
            }
            try Self.removeLeftovers(directory, lists)
            var writer = BackupWriter(image: image, directory: directory, lists: lists)
            let list = try writer.run(time: environment.time.wallMilliseconds)
            var report = writer.report(of: list)
            if let count {
                report.removedBackups = try Self.prune(directory, lists + [list], keeping: count)
            }
            return report
        }
    }

    private static func check(keeping count: Int) throws(EngineError) {
        guard count >= 1 else {
            throw .invalidArgument("keeping \(count) backups, at least 1 is kept")
        }
    }

    private static func prune(
        _ directory: StoreDirectory,
        _ lists: [BackupList],
        keeping count: Int
    ) throws(EngineError) -> Int {
        let old = lists.dropLast(count)
        try directory.durableRemove(old.map { .backup($0.number) })
        try removeLeftovers(directory, Array(lists.suffix(count)))
        return old.count
    }

    /// Removes files that no list names.
    private static func removeLeftovers(
        _ directory: StoreDirectory,
        _ lists: [BackupList]
    ) throws(EngineError) {
        let named = Set(lists.flatMap(\.files).map(\.name))
        let leftovers = try directory.list().known.filter { name in
            switch name {
            case .savedLog, .savedSegment: !named.contains(name)
            case .temporaryBackup: true
            default: false
            }
        }
        if !leftovers.isEmpty { try directory.durableRemove(leftovers) }
    }

    // MARK: - Files

    private static func lists(in directory: StoreDirectory) throws(EngineError) -> [BackupList] {
        var lists: [BackupList] = []
        for number in try directory.list().backupNumbers {
            lists.append(try BackupList.read(number, in: directory))
        }
        return lists
    }

    /// Opens a file that a list names.
    static func open(
        _ file: SavedFile,
        in directory: StoreDirectory
    ) throws(EngineError) -> StoreFile {
        guard let found = try directory.openIfPresent(file.name, for: .read) else {
            throw .corruption(
                "opening a file of a backup: it is missing",
                file: file.name.description,
                offset: 0
            )
        }
        let size = try found.size()
        guard size == file.size else {
            throw .corruption(
                "opening a file of a backup: it has \(size) bytes, \(file.size) were written",
                file: found.name,
                offset: min(size, file.size)
            )
        }
        return found
    }

    private static func check(
        _ file: SavedFile,
        of historyID: UniqueID,
        in directory: StoreDirectory
    ) throws(EngineError) {
        let found = try open(file, in: directory)
        switch file.kind {
        case .segment:
            var info = SegmentInfo(number: file.number)
            info.size = file.size
            info.checksum = file.checksum
            try info.verify(found, historyID: historyID)
        case .log: try file.check(try found.digest(file.size), found)
        }
    }

    // MARK: - The directory

    private func open() throws(EngineError) -> StoreDirectory {
        do throws(EngineError) {
            return try StoreDirectory.open(path: path, in: environment.fileSystem)
        } catch {
            guard error.isMissingFile else { throw error }
            throw EngineError(
                .notAStore,
                "opening backups: there is no directory at \(path)",
                errno: error.errno
            )
        }
    }

    private func reading<R>(
        _ body: (StoreDirectory) throws(EngineError) -> R
    ) throws(EngineError) -> R {
        let directory = try open()
        return try locked(directory, exclusive: false) { () throws(EngineError) in
            try body(directory)
        }
    }

    private func locked<R>(
        _ directory: StoreDirectory,
        exclusive: Bool,
        _ body: () throws(EngineError) -> R
    ) throws(EngineError) -> R {
        let lock: DirectoryLock
        do throws(EngineError) {
            lock = try DirectoryLock.acquire(in: directory, exclusive: exclusive)
        } catch {
            guard error.code == .locked else { throw error }
            throw EngineError(
                .locked,
                "the backups in \(path) are in use",
                file: error.file,
                errno: error.errno
            )
        }
        // Dropping the lock releases it, whatever is reported.
        defer { do throws(EngineError) { try lock.release() } catch {} }
        return try body()
    }

    /// Refuses a directory where anything else lies.
    private static func checkVacant(
        _ directory: StoreDirectory,
        _ path: String
    ) throws(EngineError) {
        let listing = try directory.list()
        let stranger = listing.known.first { name in
            switch name {
            case .backup, .temporaryBackup, .savedLog, .savedSegment, .lock: false
            default: true
            }
        }
        let unknown = listing.unknown.first { $0 != "lost+found" }
        guard let other = stranger?.description ?? unknown else { return }
        throw .invalidArgument("\(path) is no directory of backups: it holds \(other)")
    }
}

extension StoreDirectory.Listing {
    /// The numbers of the backups, ascending.
    fileprivate var backupNumbers: [UInt64] {
        known.compactMap { if case .backup(let number) = $0 { number } else { nil } }.sorted()
    }
}
