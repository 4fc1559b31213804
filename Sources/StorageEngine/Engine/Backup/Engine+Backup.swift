extension Engine {
    /// Makes a checkpoint: a directory that is a store of its own, with everything written so far;
    /// blocks the calling thread.
    ///
    /// On the same file system it shares the segments with this store, by hard links, and takes
    /// little space; elsewhere they are copied. Writes go on meanwhile, but no file is removed. The
    /// checkpoint has the history of this store and a member id of its own, and can be opened for
    /// writing. After a crash it is there as a whole or not at all; `.NAME.unfinished` beside it
    /// may be left, which the next checkpoint of that name takes over.
    ///
    /// - Parameter path: Must be absent, or an empty directory; its parent must exist.
    /// - Returns: What it took.
    /// - Throws: ``EngineError`` with code `invalidArgument` when something is in the way, `locked`
    ///   when the same checkpoint is being made, `io`, `noSpace`, `corruption`, `indeterminate`,
    ///   `poisoned`, `readOnly` or `closed`. Should the last sync of all fail, the checkpoint may
    ///   be there all the same.
    @discardableResult
    public func checkpoint(at path: String) throws(EngineError) -> CheckpointReport {
        try withImage { image, environment throws(EngineError) in
            try Checkpoint(image: image, memberID: environment.uniqueID()).make(at: path)
        }
    }

    /// Makes a checkpoint; suspends meanwhile.
    ///
    /// - Returns: What it took.
    /// - Throws: As the blocking form.
    @discardableResult
    public func checkpoint(at path: String) async throws(EngineError) -> CheckpointReport {
        // Not on a read thread: lookups wait for those.
        try await writable().waitThreads.run { [self] () throws(EngineError) in
            try checkpoint(at: path)
        }
    }

    /// Adds a backup to a directory of backups; blocks the calling thread.
    ///
    /// Only what no backup there has yet is copied. Writes go on meanwhile, but no file is removed.
    /// See ``BackupDirectory``, which lists, verifies and restores them.
    ///
    /// - Parameters:
    ///   - path: The directory of backups, made when it is absent; its parent must exist.
    ///   - count: How many backups to keep, the new one included; `nil` for all.
    /// - Returns: What it took.
    /// - Throws: ``EngineError`` with code `invalidArgument` when the directory holds other files
    ///   or backups of another history, `locked` when it is in use, `corruption` when this store or
    ///   a list of the directory is damaged, `io`, `noSpace`, `indeterminate`, `poisoned`,
    ///   `readOnly` or `closed`. What was copied is given up then, and older backups are as they
    ///   were.
    @discardableResult
    public func backup(to path: String, keeping count: Int? = nil) throws(EngineError)
        -> BackupReport
    {
        try withImage { image, environment throws(EngineError) in
            let backups = BackupDirectory(path: path, environment: environment)
            return try backups.add(image, keeping: count)
        }
    }

    /// Adds a backup to a directory of backups; suspends meanwhile.
    ///
    /// - Parameters:
    ///   - path: The directory of backups, made when it is absent; its parent must exist.
    ///   - count: How many backups to keep, the new one included; `nil` for all.
    /// - Returns: What it took.
    /// - Throws: As the blocking form.
    @discardableResult
    public func backup(
        to path: String,
        keeping count: Int? = nil
    ) async throws(EngineError) -> BackupReport {
        try await writable().waitThreads.run { [self] () throws(EngineError) in
            try backup(to: path, keeping: count)
        }
    }

    /// Runs a closure with everything written so far, synced, while no file is removed.
    func withImage<R>(
        _ body: (StoreImage, Environment) throws(EngineError) -> R
    ) throws(EngineError) -> R {
        let pipeline = try writable()
        try pipeline.wait(for: try pipeline.lastPosition().sequence, .disk)
        let maintenance = pipeline.maintenance
        return try maintenance.keepingFiles { state throws(EngineError) in
            // Behind the state: the log is synced through what it says is in segments.
            let end = pipeline.syncedEnd
            let log = try LogImage(
                maintenance.directory,
                historyID: historyID,
                behind: state.logStart,
                through: end ?? (state.logStart.fileNumber, state.logStart.length)
            )
            let image = StoreImage(
                directory: maintenance.directory,
                historyID: historyID,
                memberID: memberID,
                state: state,
                log: log
            )
            return try body(image, pipeline.environment)
        }
    }
}

extension CommitPipeline {
    /// A log file and a length up to which it is synced, as are the files before it; `nil` when no
    /// file is left to be read.
    fileprivate var syncedEnd: (fileNumber: UInt64, length: UInt64)? {
        lock.with {
            guard let file = state.file else {
                return catalog.finishedEnds.last.map { ($0.fileNumber, $0.length) }
            }
            guard state.syncedLength > UInt64(LogFormat.headerSize) else {
                let end = file.header.predecessor
                return (end.fileNumber, end.length)
            }
            return (file.header.fileNumber, state.syncedLength)
        }
    }
}
