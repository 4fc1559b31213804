/// What the pipeline's lock protects. A class, so that looking at one field never copies them all.
///
/// Thread safety: every member needs the lock.
final class PipelineState {
    enum Phase {
        case open
        /// New writes are refused; those inside end.
        case closing
        case closed
    }

    enum Rotation {
        case none
        /// The file is long enough: sync once more while appends go on.
        case wanted
        /// Synced up to the last bit: no append or sync starts before the files have changed.
        case ready
    }

    var phase = Phase.open
    /// Why writes are refused until the store is reopened.
    var poison: EngineError?

    var isCommitTaken = false
    var isAppendTaken = false
    var isSyncTaken = false

    /// How many wait for a moment when nothing is committed; no group is taken before them.
    var boundaryWaiterCount = 0

    /// Whether all records come from a leader: writes are refused.
    var isFollowing = false
    /// Whether somebody puts a leader's records in.
    var isApplying = false

    /// Writes that wait to be sequenced, first come first.
    var queue: [Ticket] = []
    /// Tickets of blocking writers, to be used again.
    var spareTickets: [Ticket] = []
    /// Who waits for a sequence to reach a point.
    var waiters: [Waiter] = []

    /// Consumers of the feed that wait for more, and the times before which none is woken and no
    /// sync is made for them.
    var feedWaiters: [Waiter] = []
    var feedWakeTime: UInt64 = 0
    var feedSyncTime: UInt64 = 0

    /// The last sequence given, and those that were appended and synced.
    var lastSequence: UInt64
    var appendedSequence: UInt64
    var syncedSequence: UInt64
    var epochs: [EpochEntry] = []

    /// Bytes in the log buffer, in both halves, and since when; those that a flush has in hand.
    var bufferedSize = 0
    var bufferedSince: UInt64?
    var flushingSize = 0
    /// Whether a failed append left a rest that must be written first.
    var hasRest = false
    /// No append is tried again before this time, after one was refused.
    var retryTime: UInt64 = 0

    /// The current log file, the length appended and the length synced.
    var file: ActiveLogFile?
    var appendedLength: UInt64 = 0
    var syncedLength: UInt64 = 0
    /// Since when there are appended records that no sync covers.
    var unsyncedSince: UInt64?
    /// When the last record was synced, while no sync marker proves it.
    var unmarkedSince: UInt64?
    /// Whether somebody who cannot sync himself waits for a sync.
    var isSyncRequested = false

    var rotation = Rotation.none
    /// The next file, reserved, with a zero header.
    var ahead: StoreFile?
    /// Whether the next file is being made, and when that may be tried again.
    var isMakingAhead = false
    var aheadRetryTime: UInt64 = 0
    var finished: [FinishedLogFile] = []

    /// What maintenance asks of writers, and why it cannot keep up until somebody helps.
    var backpressure = Backpressure()
    var stallFailure: EngineError?
    /// No group is taken before this time; 0 for now.
    var commitTime: UInt64 = 0
    /// How long groups were made to wait, in all.
    var stalledNanoseconds: UInt64 = 0
    /// Whether the active index is to be sealed although it is not full.
    var isSealWanted = false

    /// What failed, and has not worked since.
    var warnings: Set<String> = []

    /// When the log thread wakes on its own; 0 while it is not waiting.
    var logThreadDeadline: UInt64 = 0

    init(lastSequence: UInt64) {
        self.lastSequence = lastSequence
        appendedSequence = lastSequence
        syncedSequence = lastSequence
    }

    var canAppend: Bool { !isAppendTaken && rotation != .ready && poison == nil }
    var canSync: Bool {
        !isSyncTaken && rotation != .ready && poison == nil && unsyncedSince != nil
    }
    var isIdle: Bool {
        queue.isEmpty && !isCommitTaken && !isAppendTaken && !isSyncTaken && !isMakingAhead
    }

    var unsyncedLength: UInt64 { appendedLength - syncedLength }

    func reached(_ point: AckPoint, _ sequence: UInt64) -> Bool {
        switch point {
        case .memory: lastSequence >= sequence
        case .wal: appendedSequence >= sequence
        case .disk: syncedSequence >= sequence
        }
    }

    var appendContext: CommitPipeline.AppendContext {
        CommitPipeline.AppendContext(syncedThrough: syncedLength, epochs: epochs)
    }
}
