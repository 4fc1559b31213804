import Replication
import StorageEngine
import StorageEngineTestSupport

/// A member's log and state, as a model: what is in memory, in the kernel, and on disk.
struct MemberStore {
    /// Points that a log had reached before its end was taken back.
    struct Past {
        let records: [Int]
        let counts: Counts
    }

    /// How many records have reached each point.
    struct Counts: Equatable {
        var wal = 0
        var disk = 0
        var applied = 0

        func limited(to count: Int) -> Counts {
            Counts(wal: min(wal, count), disk: min(disk, count), applied: min(applied, count))
        }
    }

    /// The whole log, as records of the tree; the first `trimmed` of them are only in the state.
    private(set) var records: [Int] = []
    private(set) var table: [EpochEntry] = []
    private(set) var counts = Counts()
    private(set) var trimmed = 0
    /// How many records are in segments: the log cannot be cut back below that.
    private(set) var flushed = 0
    private(set) var past: [Past] = []
    var mark = Mark()
    var partialCopy: PartialCopy?

    // MARK: What is there

    func tail(_ tree: RecordTree) -> Tail { tail(records.count, table, tree) }

    func outline(_ tree: RecordTree) -> LogOutline {
        LogOutline(table: table, tail: tail(tree))
    }

    /// The end of the log's first records.
    func tail(_ count: Int, _ table: [EpochEntry], _ tree: RecordTree) -> Tail {
        let sequence = count == 0 ? 0 : tree[records[count - 1]].sequence
        guard let entry = table.last else { return .zero }
        let hasRecords = sequence > entry.lastSequenceBefore
        let hash =
            hasRecords
            ? tree[records[count - 1]].logHash
            : LogHash.begin(entry.epoch, after: entry.logHashBefore)
        return Tail(epoch: entry.epoch, sequence: sequence, logHash: hash)
    }

    func sequence(_ count: Int, _ tree: RecordTree) -> UInt64 {
        count == 0 ? 0 : tree[records[count - 1]].sequence
    }

    func watermarks(_ tree: RecordTree) -> Watermarks {
        var watermarks = Watermarks()
        watermarks.received = sequence(records.count, tree)
        watermarks.wal = sequence(counts.wal, tree)
        watermarks.disk = sequence(counts.disk, tree)
        watermarks.applied = sequence(counts.applied, tree)
        return watermarks
    }

    /// How many records are at or below a sequence.
    func count(through sequence: UInt64, _ tree: RecordTree) -> Int {
        var (low, high) = (0, records.count)
        while low < high {
            let middle = (low + high) / 2
            if tree[records[middle]].sequence <= sequence {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }

    func contains(_ record: Int, _ tree: RecordTree) -> Bool {
        let depth = tree[record].depth
        return depth < records.count && records[depth] == record
    }

    /// Whether a record ever reached a point here.
    func hasReached(_ record: Int, _ point: ReplicaPoint, _ tree: RecordTree) -> Bool {
        let depth = tree[record].depth
        let now = Past(records: records, counts: counts)
        return (past + [now]).contains { past in
            let count =
                switch point {
                case .received: past.records.count
                case .wal: past.counts.wal
                case .disk: past.counts.disk
                case .applied: past.counts.applied
                }
            return depth < count && past.records[depth] == record
        }
    }

    // MARK: Changes

    mutating func begin(_ epoch: Epoch, _ tree: RecordTree) {
        let tail = tail(tree)
        table.append(
            EpochEntry(
                epoch: epoch,
                lastSequenceBefore: tail.sequence,
                logHashBefore: tail.logHash
            )
        )
    }

    mutating func append(_ record: Int) { records.append(record) }

    /// Points that were begun with so many records are reached.
    mutating func reach(wal: Int = 0, disk: Int = 0, applied: Int = 0) {
        counts.wal = max(counts.wal, wal, disk)
        counts.disk = max(counts.disk, disk)
        counts.applied = max(counts.applied, applied)
    }

    mutating func flush() { flushed = max(flushed, counts.disk) }

    mutating func trim(keeping count: Int) {
        trimmed = max(trimmed, min(counts.disk, records.count - count))
    }

    /// Cuts the log back, durably.
    mutating func cut(to end: Tail, _ tree: RecordTree) -> CutResult {
        let kept = table.filter { $0.epoch.number <= end.epoch.number }
        let count = count(through: end.sequence, tree)
        guard tail(count, kept, tree) == end else { return .diverged }
        guard count >= flushed, count >= trimmed else { return .impossible }
        takeBack(to: count, kept)
        // Cutting back is durable, and what is left of a finished file is synced.
        counts.wal = count
        counts.disk = count
        return .done(watermarks(tree))
    }

    private mutating func takeBack(to count: Int, _ table: [EpochEntry]) {
        if count < records.count { past.append(Past(records: records, counts: counts)) }
        records.removeLast(records.count - count)
        self.table = table
        counts = counts.limited(to: count)
    }

    /// The state of a copy takes the place of the log.
    mutating func adopt(_ log: LogOutline, _ records: [Int]) {
        past.append(Past(records: self.records, counts: counts))
        self.records = records
        table = log.table
        counts = Counts(wal: records.count, disk: records.count, applied: records.count)
        trimmed = records.count
        flushed = records.count
    }

    /// What a crash leaves: a killed process loses what the kernel does not have, a power cut a
    /// random part of what is not on disk.
    mutating func crash(
        power: Bool,
        _ tree: RecordTree,
        _ generator: inout SeededGenerator
    ) {
        let least = power ? counts.disk : counts.wal
        let count = Int.random(in: least...max(least, counts.wal), using: &generator)
        let end = sequence(count, tree)
        var kept = table.filter { $0.lastSequenceBefore < end }
        // An epoch without records: its beginning is durable before its first record, but was it
        // begun?
        for entry in table.dropFirst(kept.count)
        where entry.lastSequenceBefore == end && Bool.random(using: &generator) {
            kept.append(entry)
        }
        let last = kept.last?.epoch.number ?? 0
        kept = table.filter { $0.epoch.number <= last }
        takeBack(to: count, kept)
        counts = Counts(wal: count, disk: count, applied: count)
        if let copy = partialCopy, power {
            partialCopy?.next = UInt64.random(in: 0...copy.next, using: &generator)
        }
    }

    /// A copy of an older state: a backup.
    mutating func restoreBackup(keeping count: Int, _ tree: RecordTree) {
        let end = sequence(count, tree)
        takeBack(to: count, table.filter { $0.lastSequenceBefore < end })
        past = []
        counts = Counts(wal: count, disk: count, applied: count)
        trimmed = min(trimmed, count)
        flushed = count
        partialCopy = nil
        let history = count == 0 ? nil : mark.history
        mark = Mark()
        mark.history = history
    }
}
