/// What the lock of ``Maintenance`` protects.
///
/// Thread safety: every member needs the lock.
final class MaintenanceState {
    enum Phase {
        case open
        /// No compaction starts; flushes and installs go on.
        case closing
        case closed
    }

    var phase = Phase.open
    var version: Version

    /// Indexes that wait to be flushed, the oldest first.
    var sealed: [SealedIndex] = []
    /// Whether the oldest of them is being flushed, or its segment waits for the manifest.
    var isFlushing = false
    /// How full the active index is, from 0 to 1.
    var activeLoad = 0.0
    /// The last sequence of what was flushed and installed.
    var flushedSequence: UInt64

    var running: [CompactionChoice] = []
    /// How many holds keep compactions from starting.
    var pauseCount = 0
    /// Ranges that were asked to be compacted, with the level that comes next.
    var requests: [CompactionRequest] = []

    /// Changes that wait for the manifest, in order.
    var installs: [Maintenance.Install] = []
    var isInstalling = false
    /// Units of work in hand.
    var inFlight = 0

    /// Files that no durable version names any more.
    var garbage: [FileName] = []
    /// What was found superfluous at the opening; it becomes garbage with the first edit.
    var leftovers: [FileName] = []
    /// Whether this opening has made an edit durable: of the manifest that was found nobody knows
    /// more than that the kernel has it, and an older one may need what it does not.
    var hasInstalled = false
    /// The greatest sequence of a tombstone that the version lacks because it was dropped.
    var deltaHorizon: UInt64 = 0
    /// The last log file that recovery does not need, and the last that became garbage.
    var obsoleteLog: UInt64 = 0
    var removedLog: UInt64 = 0
    var isRemoving = false
    /// How many hold files from being removed.
    var removalHoldCount = 0

    /// Nothing of a kind is tried again before its time, after it failed.
    var flushRetryTime: UInt64 = 0
    var compactionRetryTime: UInt64 = 0
    var installRetryTime: UInt64 = 0
    var removalRetryTime: UInt64 = 0
    /// Why flushes do not come through; `nil` when they do.
    var flushFailure: EngineError?
    /// Why compactions do not come through; `nil` when they do.
    var compactionFailure: EngineError?

    /// Whether somebody looks at the disk, and when that is to be done again.
    var isWatching = false
    var watchTime: UInt64 = 0
    /// Bytes that were free then; `nil` when that is unknown.
    var freeSpace: UInt64?
    /// Why writes are refused for lack of space; `nil` while they are not.
    var spaceFailure: EngineError?
    /// Whether the next compaction waits for space.
    var isCompactionTooLarge = false

    /// What the log was told last.
    var backpressure = Backpressure()
    var stallFailure: EngineError?
    var counts = MaintenanceCounts()

    init(version: Version, flushedSequence: UInt64) {
        self.version = version
        self.flushedSequence = flushedSequence
    }

    /// The deepest level that has segments, 0 when none has.
    var deepestLevel: Int { version.levels.lastIndex { !$0.isEmpty } ?? 0 }

    var infos: [[SegmentInfo]] { version.levels.map { $0.map(\.info) } }
}

/// What was done since the store was opened.
struct MaintenanceCounts: Sendable {
    var flushes: UInt64 = 0
    var flushedBytes: UInt64 = 0
    var compactions: UInt64 = 0
    var moves: UInt64 = 0
    var compactionReadBytes: UInt64 = 0
    var compactionWrittenBytes: UInt64 = 0
    /// Bytes that flushes and compactions wrote into each level.
    var levelWrittenBytes: [UInt64] = []
    var failures: UInt64 = 0

    mutating func noteWritten(_ segments: [Segment], level: Int) -> UInt64 {
        let bytes = segments.reduce(0) { $0 + $1.info.size }
        while levelWrittenBytes.count <= level { levelWrittenBytes.append(0) }
        levelWrittenBytes[level] += bytes
        return bytes
    }
}

/// A range that was asked to be compacted, level by level.
final class CompactionRequest {
    let range: KeyRange
    /// The level whose segments go next, and the one where they stop.
    var level = 0
    var lastLevel: Int
    /// Segments from this number on are written by the request itself, or later; `nil` while what
    /// ran when it was made still runs.
    var firstNumber: UInt64?
    var isDone = false
    var failure: EngineError?

    init(range: KeyRange, lastLevel: Int) {
        self.range = range
        self.lastLevel = lastLevel
    }
}
