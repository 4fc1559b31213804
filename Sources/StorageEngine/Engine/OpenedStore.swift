internal import Synchronization

/// A store's directory, locked and identified.
///
/// Thread safety: immutable.
struct OpenedStore: Sendable {
    let directory: StoreDirectory
    let lock: DirectoryLock
    let mark: StoreMark

    /// Opens the directory, or makes a store in it when that is wanted and it is empty or absent.
    init(path: String, options: Engine.Options, environment: Environment) throws(EngineError) {
        directory = try Self.openDirectory(path, options, environment.fileSystem)
        // Refused before anything is made, not even the lock file.
        let listing = try directory.list()
        let isStore = listing.known.contains(.store)
        if !isStore { try Self.checkVacant(listing, path: path, options: options) }
        lock = try DirectoryLock.acquire(in: directory, exclusive: !options.readOnly)
        if let found = try Self.readMark(directory) {
            mark = found
        } else {
            let listing = try directory.list()
            try Self.checkVacant(listing, path: path, options: options)
            let new = StoreMark(
                historyID: environment.uniqueID(),
                memberID: environment.uniqueID(),
                floor: .start
            )
            try directory.durableReplace(.store, with: new.encoded())
            mark = new
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
        let logs = listing.known.contains { if case .log = $0 { true } else { false } }
        guard !logs else {
            throw .corruption(
                "opening a store: there are log files, but the store's mark is missing",
                file: FileName.store.description,
                offset: 0
            )
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
        let bytes = try file.read(count: StoreMark.encodedSize + 1, at: 0)
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
    private let thread: WorkerThread?
    private let closing = Atomic(false)

    init(store: OpenedStore, pipeline: CommitPipeline?, startsThread: Bool) {
        self.store = store
        self.pipeline = pipeline
        thread =
            startsThread
            ? pipeline.map { pipeline in
                WorkerThread(name: "engine-log") { pipeline.runLogThread() }
            } : nil
    }

    var isClosed: Bool { closing.load(ordering: .relaxed) }

    /// Whether this call is the one that closes.
    private func beginClosing() -> Bool { !closing.exchange(true, ordering: .relaxed) }

    func close() throws(EngineError) {
        guard beginClosing() else { return }
        defer { releaseLock() }
        guard let pipeline else { return }
        defer { thread?.join() }
        guard let end = try pipeline.close() else { return }
        var mark = store.mark
        mark.floor = end
        try store.directory.durableReplace(.store, with: mark.encoded())
    }

    /// Closes the files as they are.
    func abandon() {
        guard beginClosing() else { return }
        pipeline?.abandon()
        thread?.join()
        pipeline?.abandonFiles()
        releaseLock()
    }

    /// Nothing depends on how closing the lock file ends: the lock is gone in any case.
    private func releaseLock() {
        do throws(EngineError) { try store.lock.release() } catch {}
    }
}
