internal import Synchronization

/// A store's directory, locked and identified.
///
/// Thread safety: immutable, except for the mark's file, which says who may use it when.
struct OpenedStore: Sendable {
    let directory: StoreDirectory
    let lock: DirectoryLock
    let markFile: StoreMarkFile

    /// Opens the directory, or makes a store in it when that is wanted and it is empty or absent.
    init(path: String, options: Engine.Options, environment: Environment) throws(EngineError) {
        directory = try Self.openDirectory(path, options, environment.fileSystem)
        // Refused before anything is made, not even the lock file.
        let listing = try directory.list()
        let isStore = listing.known.contains(.store)
        if !isStore { try Self.checkVacant(listing, path: path, options: options) }
        lock = try DirectoryLock.acquire(in: directory, exclusive: !options.readOnly)
        if let found = try Self.readMark(directory) {
            guard options.follows ?? found.historyID == found.historyID else {
                throw EngineError(
                    .wrongStore,
                    "opening a follower: the store holds history \(found.historyID)",
                    file: FileName.store.description
                )
            }
            markFile = StoreMarkFile(directory: directory, mark: found)
        } else {
            let listing = try directory.list()
            try Self.checkVacant(listing, path: path, options: options)
            let new = StoreMark(
                historyID: options.follows ?? environment.uniqueID(),
                memberID: environment.uniqueID()
            )
            try directory.durableReplace(.store, with: new.encoded())
            markFile = StoreMarkFile(directory: directory, mark: new)
        }
    }

    private static func openDirectory(
        _ path: String,
        _ options: Engine.Options,
        _ fileSystem: any FileSystem
    ) throws(EngineError) -> StoreDirectory {
        let isShared = options.allowsSharedDirectory
        do throws(EngineError) {
            return try StoreDirectory.open(
                path: path,
                in: fileSystem,
                allowsSharedWriting: isShared
            )
        } catch {
            guard error.isMissingFile else { throw error }
            guard options.createIfMissing, !options.readOnly else {
                throw EngineError(
                    .notAStore,
                    "opening a store: there is no directory at \(path)",
                    errno: error.errno
                )
            }
        }
        return try StoreDirectory.make(
            path: path,
            in: fileSystem,
            allowsSharedWriting: isShared
        )
    }

    /// Refuses a directory without a store's mark in which anything else lies, or that must hold
    /// one.
    private static func checkVacant(
        _ listing: StoreDirectory.Listing,
        path: String,
        options: Engine.Options
    ) throws(EngineError) {
        let hasData = listing.known.contains {
            switch $0 {
            case .log, .manifest, .segment: true
            default: false
            }
        }
        guard !hasData else {
            throw .corruption(
                "opening a store: there are files of one, but the store's mark is missing",
                file: FileName.store.description,
                offset: 0
            )
        }
        guard !listing.holdsBackups else {
            throw EngineError(.notAStore, "opening a store: \(path) holds backups")
        }
        guard listing.unknown.allSatisfy({ $0 == "lost+found" }) else {
            throw EngineError(
                .notAStore,
                "opening a store: \(path) holds other files, such as \(listing.unknown[0])"
            )
        }
        guard options.createIfMissing, !options.readOnly else {
            throw EngineError(.notAStore, "opening a store: there is none at \(path)")
        }
    }

    private static func readMark(_ directory: StoreDirectory) throws(EngineError) -> StoreMark? {
        guard let file = try directory.openIfPresent(.store, for: .read) else { return nil }
        let bytes = try file.read(count: StoreMark.sizeMax + 1, at: 0)
        return try bytes.span.withUnsafeBytes { bytes throws(EngineError) in
            try StoreMark(decoding: bytes)
        }
    }
}

/// Opens and closes an engine exactly once.
///
/// Thread safety: every method may be called from any thread.
final class EngineLifetime: Sendable {
    private let store: OpenedStore
    private let pipeline: CommitPipeline?
    private let threads: [WorkerThread]
    private let closing = Atomic(false)
    private let birth = ProcessBirth()

    init(
        store: OpenedStore,
        pipeline: CommitPipeline?,
        startsThreads: Bool,
        compactionThreads: Int
    ) {
        self.store = store
        self.pipeline = pipeline
        guard startsThreads, let pipeline else {
            threads = []
            return
        }
        let maintenance = pipeline.maintenance
        let compactors = (0..<compactionThreads).map { _ in
            WorkerThread(name: "engine-compact") { maintenance.runCompactionThread() }
        }
        threads =
            [
                WorkerThread(name: "engine-log") { pipeline.runLogThread() },
                WorkerThread(name: "engine-flush") { maintenance.runFlushThread() },
                WorkerThread(name: "engine-slots") {
                    pipeline.slots.run { maintenance.reviewLogs() }
                },
                WorkerThread(name: "engine-watch") { maintenance.runWatchThread() },
            ] + compactors
    }

    /// Why nothing can be asked of the engine any more, `nil` when it can.
    var refusal: EngineError? {
        if closing.load(ordering: .relaxed) { return .closed }
        return birth.isThisProcess ? nil : Self.forked
    }

    /// Threads and locks are the parent's; so are the files, which a child must not write to.
    private static let forked = EngineError(
        .poisoned,
        "the engine was opened by the process that this one was forked from"
    )

    /// Whether this call is the one that closes.
    private func beginClosing() -> Bool { !closing.exchange(true, ordering: .relaxed) }

    func close() throws(EngineError) {
        guard birth.isThisProcess else { throw Self.forked }
        guard beginClosing() else { return }
        defer { releaseLock() }
        guard let pipeline else { return }
        defer {
            for thread in threads { thread.join() }
            pipeline.maintenance.events.finish()
        }
        let log: CommitPipeline.ClosedLog?
        do throws(EngineError) {
            log = try pipeline.close()
            try pipeline.slots.close()
        } catch {
            pipeline.slots.abandon()
            // What the log could not take must not get into segments either.
            pipeline.maintenance.abandon()
            throw error
        }
        try pipeline.maintenance.close(log?.mark, logLength: log?.end?.length ?? 0)
        guard let log, let end = log.end else { return }
        try store.markFile.update { mark in
            mark.floor = end
            mark.lastStamp = log.lastStamp
        }
    }

    /// Closes the files as they are.
    func abandon() {
        guard birth.isThisProcess, beginClosing() else { return }
        pipeline?.abandon()
        pipeline?.slots.abandon()
        pipeline?.maintenance.abandon()
        for thread in threads { thread.join() }
        pipeline?.abandonFiles()
        pipeline?.maintenance.events.finish()
        releaseLock()
    }

    /// Nothing depends on how closing the lock file ends: the lock is gone in any case.
    private func releaseLock() {
        do throws(EngineError) { try store.lock.release() } catch {}
    }
}

extension CommitPipeline {
    /// The write path of a store whose log was recovered.
    convenience init(
        _ store: OpenedStore,
        tree: OpenedTree,
        recovered: RecoveredLog,
        reading: (state: ReadState, cache: BlockCache),
        options: Engine.Options,
        environment: Environment
    ) throws(EngineError) {
        let mark = store.markFile.mark
        let catalog = try LogCatalog(
            store.directory,
            historyID: mark.historyID,
            recovered: recovered
        )
        let firstLog = catalog.files.first?.number ?? tree.state.logStart.fileNumber + 1
        let garbage = try store.directory.list().logNumbers.filter { $0 < firstLog }.map(
            FileName.log
        )
        let maintenance = Maintenance(
            environment: environment,
            limits: options.maintenance,
            logger: options.logger,
            readState: reading.state,
            store: MaintainedStore(
                directory: store.directory,
                cache: reading.cache,
                markFile: store.markFile,
                removedLog: firstLog - 1
            ),
            tree: tree
        )
        maintenance.lock.with { maintenance.state.leftovers += garbage }
        let slots = try SlotKeeper(
            SlotKeeper.Foundation(
                directory: store.directory,
                historyID: mark.historyID,
                catalog: catalog,
                retention: options.retention
            ),
            environment: environment,
            events: maintenance.events,
            logger: options.logger
        )
        let writer = LogWriter(
            directory: store.directory,
            identity: (mark.historyID, mark.memberID),
            catalog: catalog,
            end: recovered.end,
            lastStamp: recovered.lastStamp,
            reservedSize: options.logFileSize + CommitPipeline.syncDistance
        )
        self.init(
            environment: environment,
            limits: options.limits,
            logger: options.logger,
            maintenance: maintenance,
            log: (writer, catalog, slots),
            recovered: recovered
        )
    }
}
