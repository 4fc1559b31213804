internal import Logging
internal import Synchronization

// The commit pipeline: from encoded batches to acknowledged writes.
//
// Three roles, each held by at most one thread at a time; taken and given back under the lock, and
// held, without the lock, across the work they stand for:
//
//   commit   sequences batches, puts them into the log buffer and the memory index, publishes them
//   append   frames the log buffer and writes it to the current log file; changes log files
//   sync     runs fdatasync on the current log file
//
// A unit of work goes through three calls: `take…` under the lock decides and takes the roles,
// `perform` does it without the lock, `finish` under the lock gives the roles back, notes what was
// reached and wakes who waited for it. Threads only loop over these calls, so a simulation can make
// the same steps in any order, with several in flight.
//
// (1) A group with a `.wal` or `.disk` write holds commit and append until its frame is written: it
//     is in the index, and readable, only then. A group of `.memory` writes needs commit alone.
// (2) The log buffer holds what is published and not yet appended, in order, at most the memory
//     window. Whoever appends, appends the buffer first.
// (3) Points are prefix-closed: appendedSequence and syncedSequence cover all before them.
// (4) A sync covers what was appended when the role was taken, never more.
// (5) A rotation holds append and sync, and starts when the file was synced up to at most 1 MiB
//     before its end; nobody who did not ask for a sync waits for any other.
// (6) After a failed sync, or an append whose traces could not be removed, the pipeline is
//     poisoned: writes are refused, waiting ones are indeterminate, no fsync is ever tried again.

/// Sequences, logs, indexes and acknowledges writes.
///
/// Thread safety: `submit`, `wait`, `close` and what is built on them may be called from any
/// thread.
final class CommitPipeline: @unchecked Sendable {
    /// What bounds the pipeline; see the options of the same names.
    struct Limits: Sendable {
        /// Bytes.
        let memoryWindow: Int
        /// Nanoseconds.
        let memoryDelay, syncInterval: UInt64
        /// Bytes.
        let logFileSize: UInt64
        let failsIfStalled: Bool
        /// Whether all records come from a leader, at first.
        let isFollower: Bool
        let sequences: SequencePolicy
    }

    // Constant.
    let environment: Environment
    let limits: Limits
    let logger: Logger
    let readState: ReadState
    let maintenance: Maintenance
    let catalog: LogCatalog
    let slots: SlotKeeper
    let newest = FeedTail()
    let metrics = MetricsRecorder()
    /// For what must block although its caller suspends.
    let waitThreads = ThreadPool(name: "engine-wait", countMax: 4)

    // The commit role.
    /// The writes that are sequenced together; empty while nobody has the role.
    var group: [Ticket] = []
    var sequencer: Sequencer
    var active = LogBuffer()

    // The append role.
    let writer: LogWriter
    var writing = LogBuffer()
    let nothing = LogBuffer()

    // Own synchronization.
    let lock = Lock()

    // Wakes the log thread; used with the lock.
    let logThreadCondition = Condition()
    let closeCondition = Condition()
    /// Wakes those who wait for roles to be free; used with the lock.
    let boundaryCondition = Condition()

    // The lock.
    let state: PipelineState

    /// The last sequence that was appended, and that a sync covers; written under the lock.
    let appended, synced: Atomic<UInt64>

    init(
        environment: Environment,
        limits: Limits,
        logger: Logger,
        maintenance: Maintenance,
        log: (writer: LogWriter, catalog: LogCatalog, slots: SlotKeeper),
        recovered: RecoveredLog
    ) {
        self.environment = environment
        self.limits = limits
        self.logger = logger
        self.maintenance = maintenance
        readState = maintenance.readState
        (writer, catalog, slots) = log
        sequencer = Sequencer(
            recovered: recovered,
            originates: !limits.isFollower,
            policy: limits.sequences
        )
        state = PipelineState(lastSequence: recovered.end.lastSequence)
        state.isFollowing = limits.isFollower
        state.epochs = recovered.epochs
        appended = Atomic(recovered.end.lastSequence)
        synced = Atomic(recovered.end.lastSequence)
        maintenance.log = self
    }

    var now: UInt64 { environment.time.monotonicNanoseconds }

    // MARK: - Units of work

    enum Work {
        case commit(CommitGroup)
        /// Writes out the log buffer. `holdsCommit`: because an earlier attempt left a rest.
        case flush(AppendContext, holdsCommit: Bool)
        case sync(SyncTarget)
        case rotate(AppendContext, next: StoreFile)
        case makeAhead(number: UInt64)
        case marker(AppendContext)
        /// Seals the active index, whatever it holds.
        case seal
        case trim(FinishedLogFile)
    }

    enum Completion {
        case success
        /// `putOff`: why an append was not made whose writes stay in the buffer.
        case committed(appended: Bool, putOff: EngineError? = nil)
        case rotated(FinishedLogFile)
        case made(StoreFile)
        case failed(EngineError)
        case broken(EngineError)
    }

    /// How the writes of ``group`` are committed.
    struct CommitGroup {
        /// What an append needs, `nil` when the group is not appended.
        let append: AppendContext?
        /// Bytes the log buffer may still take without an append.
        let room: Int
    }

    /// What the append role learns when it is taken.
    struct AppendContext {
        let syncedThrough: UInt64
        let epochs: [EpochEntry]
    }

    struct SyncTarget {
        let file: ActiveLogFile
        let length: UInt64
        let sequence: UInt64
    }

    /// Takes a unit of work, does it and finishes it.
    func run(_ work: Work) {
        let completion = perform(work)
        lock.acquire()
        finish(work, completion)
        lock.release()
    }

    /// Does a unit of work; the caller holds its roles, and not the lock.
    func perform(_ work: Work) -> Completion {
        switch work {
        case .commit(let group): commit(group)
        case .flush(let context, let holdsCommit): flush(context, holdsCommit: holdsCommit)
        case .sync(let target): sync(target)
        case .rotate(let context, let next): rotate(context, to: next)
        case .makeAhead(let number): makeAhead(number)
        case .marker(let context):
            attemptAppend { () throws(AppendFailure) in
                try writer.appendMarker(syncedThrough: context.syncedThrough)
            }
        case .seal: seal()
        case .trim(let file): trim(file)
        }
    }

    private func trim(_ file: FinishedLogFile) -> Completion {
        do throws(EngineError) {
            try file.trim()
            return .success
        } catch {
            return .failed(error)
        }
    }

    private func makeAhead(_ number: UInt64) -> Completion {
        do throws(EngineError) {
            return .made(try writer.makeFile(number: number))
        } catch {
            return .failed(error)
        }
    }

    private func attemptAppend(_ body: () throws(AppendFailure) -> Void) -> Completion {
        do throws(AppendFailure) {
            try body()
            return .success
        } catch .broken(let error) {
            return .broken(error)
        } catch {
            return .failed(error.error)
        }
    }

    private func sync(_ target: SyncTarget) -> Completion {
        let start = now
        maintenance.watch.syncBegan(at: start)
        defer { maintenance.watch.syncEnded(after: now - start) }
        do throws(EngineError) {
            try target.file.file.dataSync()
        } catch {
            return .broken(error)
        }
        metrics.noteSync(nanoseconds: now - start)
        return .success
    }

    private func flush(_ context: AppendContext, holdsCommit: Bool) -> Completion {
        let result = attemptAppend { () throws(AppendFailure) in
            // Without the commit role, `active` is somebody else's.
            if holdsCommit {
                try writer.append(writing, active, context)
            } else {
                try writer.append(writing, nothing, context)
            }
        }
        guard case .success = result else { return result }
        writing.removeAll()
        if holdsCommit { active.removeAll() }
        return result
    }

    func rotate(_ context: AppendContext, to next: StoreFile) -> Completion {
        let start = now
        do throws(AppendFailure) {
            let finished = try writer.rotate(
                to: next,
                syncedThrough: context.syncedThrough,
                epochs: context.epochs
            )
            metrics.noteRotation(nanoseconds: now - start)
            return .rotated(finished)
        } catch .broken(let error) {
            return .broken(error)
        } catch {
            return .failed(error.error)
        }
    }
}

extension LogWriter {
    fileprivate func append(
        _ first: borrowing LogBuffer,
        _ second: borrowing LogBuffer,
        _ context: CommitPipeline.AppendContext
    ) throws(AppendFailure) {
        try append(
            first,
            second,
            syncedThrough: context.syncedThrough,
            epochs: context.epochs
        )
    }
}
