internal import Logging
internal import Synchronization

// Maintenance: what happens to the data behind the writers' backs. Full indexes become segments of
// level 0 (flush), segments are merged downward (compaction), the manifest names what is live
// (install), and files that nothing needs any more go (removal).
//
// As in the commit pipeline a unit of work goes through `take…`, `perform` and `finish`, so that
// threads only loop over these calls, and a simulation can make them in any order.
//
// (1) Indexes are flushed one at a time, the oldest first. A flush becomes visible and enters the
//     manifest only when the log is synced through the last record of its index.
// (2) Installs are made one at a time. A version is replaced, and a file given up, only after the
//     manifest's edit is durable. After a failed edit nothing is removed until one succeeds.
// (3) A compaction claims its inputs; see `CompactionPicker`. When it fails its outputs are removed
//     and its inputs stay as they are.
// (4) A pause stops compactions from starting, and never a flush.
// (5) The lock may be held while the log's is taken, never the other way round.
// (6) The number of a segment is given once. The manifest says which numbers were given, before a
//     file is removed for not being named in it. What an opening finds superfluous goes only after
//     an edit of its own is durable: the edit it found may have been one whose sync failed.

/// What maintenance must know of the log, and says to it.
protocol LogProgress: AnyObject, Sendable {
    /// The last sequence that an fdatasync of the log covers.
    var syncedSequence: UInt64 { get }
    /// Asks for a sync; ``Maintenance/noteSynced()`` is called when it is done.
    func requestSync()
    /// The end of the newest log file that recovery does not need once everything up to a sequence
    /// is in segments; `nil` when there is none. The newest finished file is kept in any case.
    func obsoleteEnd(through sequence: UInt64) -> LogEnd?
    /// The last log file that no consumer needs, of those that recovery does not need; 0 for none.
    func removableLog(obsolete: UInt64) -> UInt64
    /// Why nothing is synced any more; `nil` while syncs go on.
    var failure: EngineError? { get }
    /// The epoch table.
    var epochs: [EpochEntry] { get }
    /// Slows or holds writers from now on. `failure`: why they cannot be held until it is better.
    func apply(_ backpressure: Backpressure, failure: EngineError?)
}

/// Flushes, compacts, installs and removes.
///
/// Thread safety: every method may be called from any thread, unless it says otherwise.
final class Maintenance: @unchecked Sendable {
    struct Limits: Sendable {
        /// Bytes of an index at which it is sealed.
        var writeBufferSize = 64 << 20
        /// Sealed indexes that may wait; writers are held beyond.
        var sealedMax = 2
        var compaction = CompactionLimits()
        /// Bytes a second that compactions may write; `nil` for no limit.
        var compactionRate: UInt64?
        /// Writes are refused while fewer bytes are free.
        var lowSpaceLimit: UInt64 = 0
    }

    // Constant.
    let environment: Environment
    let limits: Limits
    let logger: Logger
    let readState: ReadState
    let directory: StoreDirectory
    let historyID: UniqueID
    let cache: BlockCache
    let picker: CompactionPicker
    let events = Broadcast<Event>()
    let watch: DiskWatch
    /// Set once, before anything is taken.
    nonisolated(unsafe) weak var log: (any LogProgress)?

    // The install role.
    let manifest: ManifestWriter

    // Own synchronization.
    let nextNumber: Atomic<UInt64>
    /// Whether running compactions should give up.
    let isCancelled = Atomic(false)
    /// Whether no further index may be sealed.
    let isFull = Atomic(false)
    /// Whether an install waits for a sync of the log.
    let isWaitingForSync = Atomic(false)
    let lock = Lock()
    /// Wakes the threads, and those who wait for flushes and compactions; used with the lock.
    let condition = Condition()

    // The lock.
    let state: MaintenanceState

    init(
        environment: Environment,
        limits: Limits,
        logger: Logger,
        readState: ReadState,
        store: MaintainedStore,
        tree: OpenedTree
    ) {
        self.environment = environment
        self.limits = limits
        self.logger = logger
        self.readState = readState
        directory = store.directory
        historyID = store.markFile.mark.historyID
        cache = store.cache
        watch = DiskWatch(directory: store.directory, events: events)
        manifest = ManifestWriter(
            directory: store.directory,
            markFile: store.markFile,
            state: tree.state
        )
        picker = CompactionPicker(limits: limits.compaction)
        nextNumber = Atomic(tree.nextSegmentNumber)
        state = MaintenanceState(
            version: tree.version,
            flushedSequence: tree.state.flushed.sequence
        )
        state.leftovers = tree.leftovers
        state.obsoleteLog = tree.state.logStart.fileNumber
        state.removedLog = store.removedLog
        state.deltaHorizon = tree.state.deltaHorizon
    }

    var now: UInt64 { environment.time.monotonicNanoseconds }

    // MARK: - Units of work

    enum Work {
        case flush(SealedIndex, registered: [UInt64])
        case compact(Compactor)
        case install(Install)
        case remove([FileName])
        /// Looks at the disk.
        case watch
    }

    enum Completion {
        case success
        case flushed([Segment])
        case compacted(Compactor.Result)
        case watched(freeBytes: UInt64?)
        case failed(EngineError)
    }

    /// A change that waits for the manifest.
    struct Install {
        enum Source {
            case flush(SealedIndex)
            case compaction(CompactionChoice, droppedTombstone: UInt64)
        }

        let source: Source
        let added: [Segment]
    }

    /// Does a unit of work; the caller does not hold the lock.
    func perform(_ work: Work) -> Completion {
        do throws(EngineError) {
            switch work {
            case .flush(let sealed, let registered):
                let stream = IndexStream(sealed.index, registered: registered)
                return .flushed(try output(cut: nil).write(stream))
            case .compact(let compactor):
                if compactor.choice.isMove {
                    return .compacted(Compactor.Result(moving: compactor))
                }
                return .compacted(try compactor.run())
            case .install(let install):
                try manifest.commit(edit(for: install))
                return .success
            case .remove(let names):
                try directory.durableRemove(names)
                return .success
            case .watch: return .watched(freeBytes: watch.look(now: now))
            }
        } catch {
            return .failed(error)
        }
    }

    func output(cut: SegmentCut?) -> SegmentOutput {
        SegmentOutput(
            directory: directory,
            historyID: historyID,
            cache: cache,
            cut: cut,
            partitionKeyCount: SegmentFormat.partitionKeyCount(
                segmentSize: limits.compaction.segmentSize
            ),
            nextNumber: { [self] in nextNumber.wrappingAdd(1, ordering: .relaxed).oldValue },
            pace: { [self] count throws(EngineError) in
                guard cut != nil else { return }
                if isCancelled.load(ordering: .relaxed) { throw .closed }
                pace(count)
            }
        )
    }

    /// Waits as long as the compaction rate asks for.
    private func pace(_ count: Int) {
        guard let rate = limits.compactionRate, environment.startsThreads else { return }
        let wait = UInt64(count) * 1_000_000_000 / max(rate, 1)
        let end = now + wait
        lock.acquire()
        while now < end, !isCancelled.load(ordering: .relaxed) { condition.wait(lock, until: end) }
        lock.release()
    }

    /// What the manifest is told; the caller has the install role.
    private func edit(for install: Install) -> VersionEdit {
        var edit = VersionEdit()
        let table = log?.epochs ?? []
        let known = manifest.state.epochs.last?.epoch.number ?? 0
        // An epoch without a record on disk may yet be one that never was.
        let synced = log?.syncedSequence ?? 0
        edit.epochs = table.filter {
            $0.epoch.number > known && $0.lastSequenceBefore < synced
        }
        edit.nextSegmentNumber = nextNumber.load(ordering: .relaxed)
        switch install.source {
        case .flush(let sealed):
            edit.added = install.added.map { LevelSegment(level: 0, info: $0.info) }
            edit.flushed = sealed.mark
            let end = log?.obsoleteEnd(through: sealed.mark.sequence)
            let known = manifest.state.logStart.fileNumber
            edit.logStart = end.flatMap { $0.fileNumber > known ? $0 : nil }
        case .compaction(let choice, let droppedTombstone):
            edit.added = install.added.map {
                LevelSegment(level: choice.outputLevel, info: $0.info)
            }
            edit.removed =
                choice.inputs.map { SegmentPlace(level: choice.level, number: $0.number) }
                + choice.overlapped.map {
                    SegmentPlace(level: choice.outputLevel, number: $0.number)
                }
            if droppedTombstone > manifest.state.deltaHorizon {
                edit.deltaHorizon = droppedTombstone
            }
        }
        return edit
    }
}

/// The store that is maintained.
struct MaintainedStore {
    let directory: StoreDirectory
    let cache: BlockCache
    let markFile: StoreMarkFile
    /// The last log file that is not kept, recovery and consumers considered.
    let removedLog: UInt64
}

/// A full index, and where the history ended when it was sealed.
struct SealedIndex: Sendable {
    let index: MemoryIndex
    let mark: FlushMark
}

extension Compactor.Result {
    /// The result of a choice whose input becomes part of the next level as it is.
    fileprivate init(moving compactor: Compactor) {
        let number = compactor.choice.inputs[0].number
        let level = compactor.version.levels[compactor.choice.level]
        segments = level.filter { $0.info.number == number }
    }
}
