/// What was counted, by group and name. Tallies add up, over seeds and over sittings.
package struct Tally: Sendable, Hashable {
    package private(set) var counts: [String: [String: Int]] = [:]

    package init() {}

    package init(_ counts: [String: [String: Int]]) { self.counts = counts }

    package subscript(group: String, name: String) -> Int {
        get { counts[group]?[name] ?? 0 }
        set { counts[group, default: [:]][name] = newValue }
    }

    package mutating func add(_ group: String, _ name: String, _ count: Int = 1) {
        self[group, name] += count
    }

    /// Something that must happen sometimes; otherwise a promise is checked in theory only.
    package mutating func sometimes(_ what: Sometimes, _ happened: Bool = true) {
        self["sometimes", what.rawValue] += happened ? 1 : 0
    }

    package static func += (left: inout Tally, right: Tally) {
        for (group, counts) in right.counts {
            for (name, count) in counts { left.add(group, name, count) }
        }
    }
}

/// What a soak must have seen at least once.
package enum Sometimes: String, CaseIterable, Sendable {
    case tornTailCut = "torn tail cut"
    case tailRewritten = "unproven records written again"
    case tornTailAfterDoubleCrash = "crash in a recovery, torn tail found again"
    case rewriteAfterDoubleCrash = "crash in a recovery, records written again again"
    case crashBeforeTheFirstWrite = "crash before the first write"
    case crashInFlush = "crash with a flush in hand"
    case crashInCompaction = "crash with a compaction in hand"
    case crashInInstall = "crash with an edit of the manifest in hand"
    case crashInRotation = "crash with a change of log files in hand"
    case crashInRemoval = "crash with a removal of files in hand"
    case rotationDuringFlush = "log files changed while an index was flushed"
    case flushDuringCompaction = "index flushed while levels were compacted"
    case commitDuringSync = "write sequenced while a sync ran"
    case groupOfWrites = "several writes in one frame"
    case orphanedSegment = "segment found that no manifest names"
    case unusedLogFile = "log file found that was made ahead"
    case oldSnapshotRead = "snapshot read after a flush or a compaction"
    case memoryWriteLost = "memory write lost in a kill"
    case walWriteLost = "wal write lost in a power cut"
    case writesStalled = "writes held or slowed"
    case poisoned = "writes refused after a failed sync"
    case refusedForSpace = "write refused for lack of space"
    case recoveredFromFullDisk = "write accepted after the disk was full"
    case indeterminateWrite = "failed write, nothing known of it"
    case withdrawnWriteSurvived = "failed write found after a restart"
    case reopenedAfterFault = "store opened again after a fault, without a crash"
    case readOnlyOpen = "crash image opened read-only"
    case killedWithPendingWrites = "process killed, its writes not on disk yet"
    case consumerAhead = "consumer ahead of a store that lost its end"
    case consumerDiverged = "consumer of an end that was lost and written anew"
    case consumerTrimmed = "consumer behind the log"
    case slotLost = "slot lost at its limit"
    case followerAhead = "follower ahead of a leader that lost its end"
    case followerDiverged = "follower of an end that was lost and written anew"
    case followerCutBack = "follower cut back"
    case followerCopied = "follower copied anew"
}
