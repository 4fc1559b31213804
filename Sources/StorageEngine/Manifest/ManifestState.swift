internal import Glibc

/// What the store consists of besides the log: the sum of the manifest's edits.
///
/// Thread safety: a value.
package struct ManifestState: Hashable, Sendable {
    /// The segments by level. Level 0 has the newest first: by greatest sequence, then by number,
    /// both descending. The others are in the order of their keys and do not overlap: no key
    /// between the bounds of one segment, both included, is between those of another.
    package private(set) var levels = [[SegmentInfo]](
        repeating: [],
        count: ManifestFormat.levelCount
    )
    /// All records up to there are in segments.
    package private(set) var flushed = FlushMark.start
    /// The end of the last log file that is not needed any more.
    package private(set) var logStart = LogEnd.start
    /// The epoch table, the newest entry last.
    package private(set) var epochs: [EpochEntry] = []
    /// The highest sequence of a tombstone that a compaction has dropped, 0 when there is none.
    package private(set) var deltaHorizon: UInt64 = 0
    /// The number for the next segment.
    package private(set) var nextSegmentNumber: UInt64 = 1

    /// The numbers of all segments.
    private var numbers: Set<UInt64> = []

    /// The state of a store without a segment.
    package init() {}

    /// Forgets epochs that a table does not have: the history was cut back.
    mutating func keepEpochs(of table: [EpochEntry]) {
        let known = Set(table)
        epochs.removeAll { !known.contains($0) }
    }

    package var segmentCount: Int { numbers.count }

    /// The edit that makes this state of an empty one.
    package var snapshot: VersionEdit {
        var edit = VersionEdit()
        for (level, segments) in levels.enumerated() {
            edit.added += segments.map { LevelSegment(level: level, info: $0) }
        }
        edit.flushed = flushed
        edit.logStart = logStart
        edit.epochs = epochs
        edit.deltaHorizon = deltaHorizon
        edit.nextSegmentNumber = nextSegmentNumber
        return edit
    }

    /// Takes an edit's changes in, or throws and stays as it was.
    ///
    /// - Throws: `malformed` when the edit removes a segment that is not there, adds a number that
    ///   is there or was not given out, a level that does not exist, segments that overlap, bounds
    ///   in the wrong order or numbers that are too large; when the mark of what is flushed, the
    ///   log's start or the next number would go back, the log would start behind what is flushed,
    ///   or the epochs do not ascend.
    package mutating func apply(_ edit: VersionEdit) throws(DecodingFailure) {
        var next = self
        try next.applyInPlace(edit)
        self = next
    }

    /// The same without a copy of the state, which is to be thrown away when this throws.
    ///
    /// Takes time in proportion to the segments of the levels that change, with comparisons of keys
    /// in proportion to the edit.
    mutating func applyInPlace(_ edit: VersionEdit) throws(DecodingFailure) {
        try applyMarks(edit)
        try append(edit.epochs)
        try remove(edit.removed)
        try add(edit.added)
    }

    // MARK: - Marks

    private mutating func applyMarks(_ edit: VersionEdit) throws(DecodingFailure) {
        if let number = edit.nextSegmentNumber {
            guard number >= nextSegmentNumber, number <= ManifestFormat.numberMax else {
                throw .malformed("next segment number \(number) after \(nextSegmentNumber)")
            }
            nextSegmentNumber = number
        }
        if let sequence = edit.deltaHorizon {
            guard sequence <= ManifestFormat.numberMax else {
                throw .malformed("delta horizon \(sequence)")
            }
            // A compaction of old segments may drop older tombstones than the last one did.
            deltaHorizon = max(deltaHorizon, sequence)
        }
        if let mark = edit.flushed { try moveFlushed(mark) }
        if let end = edit.logStart { try moveLogStart(end) }
        guard logStart.lastSequence <= flushed.sequence else {
            throw .malformed(
                "log start behind sequence \(logStart.lastSequence), "
                    + "flushed up to \(flushed.sequence)"
            )
        }
    }

    private mutating func moveFlushed(_ mark: FlushMark) throws(DecodingFailure) {
        guard mark.sequence >= flushed.sequence, mark.sequence <= ManifestFormat.numberMax,
            mark.epoch.number >= flushed.epoch.number,
            mark.epoch.number <= ManifestFormat.numberMax
        else {
            throw .malformed("flushed up to \(mark.sequence) after \(flushed.sequence)")
        }
        flushed = mark
    }

    private mutating func moveLogStart(_ end: LogEnd) throws(DecodingFailure) {
        let isLater =
            end.fileNumber > logStart.fileNumber && end.lastSequence >= logStart.lastSequence
        guard isLater || end == logStart, end.fileNumber <= ManifestFormat.numberMax,
            end.length <= ManifestFormat.numberMax, end.lastSequence <= ManifestFormat.numberMax
        else {
            throw .malformed(
                "log start behind file \(end.fileNumber) after \(logStart.fileNumber)"
            )
        }
        logStart = end
    }

    private mutating func append(_ entries: [EpochEntry]) throws(DecodingFailure) {
        for entry in entries {
            guard entry.epoch.number > epochs.last?.epoch.number ?? 0,
                entry.epoch.number <= ManifestFormat.numberMax,
                entry.lastSequenceBefore >= epochs.last?.lastSequenceBefore ?? 0,
                entry.lastSequenceBefore <= ManifestFormat.numberMax
            else { throw .malformed("epoch \(entry.epoch.number) in the epoch table") }
            epochs.append(entry)
        }
    }

    // MARK: - Segments

    private mutating func remove(_ places: [SegmentPlace]) throws(DecodingFailure) {
        var removed = [Set<UInt64>](repeating: [], count: levels.count)
        for place in places {
            guard removed.indices.contains(place.level), numbers.remove(place.number) != nil else {
                throw .malformed("removal of segment \(place.number), which is not there")
            }
            removed[place.level].insert(place.number)
        }
        for level in levels.indices where !removed[level].isEmpty {
            let count = levels[level].count
            levels[level].removeAll { removed[level].contains($0.number) }
            guard levels[level].count == count - removed[level].count else {
                throw .malformed("removal of a segment that is not in level \(level)")
            }
        }
    }

    private mutating func add(_ segments: [LevelSegment]) throws(DecodingFailure) {
        var added = [[SegmentInfo]](repeating: [], count: levels.count)
        for segment in segments {
            try check(segment)
            guard numbers.insert(segment.info.number).inserted else {
                throw .malformed("segment \(segment.info.number) is there already")
            }
            added[segment.level].append(segment.info)
        }
        guard numbers.count <= ManifestFormat.segmentCountMax else {
            throw .malformed("\(numbers.count) segments")
        }
        for level in levels.indices where !added[level].isEmpty {
            if level == 0 {
                added[0].sort(by: Self.isNewer)
                Self.merge(added[0], into: &levels[0], by: Self.isNewer)
            } else {
                added[level].sort(by: Self.isBefore)
                Self.merge(added[level], into: &levels[level], by: Self.isBefore)
                try checkDisjoint(around: added[level], level: level)
            }
        }
    }

    private func check(_ segment: LevelSegment) throws(DecodingFailure) {
        let info = segment.info
        let sizes = [
            info.size, info.rawBytes, info.entryCount, info.tombstoneCount,
            info.rangeTombstoneCount, info.keyCount,
        ]
        guard levels.indices.contains(segment.level) else {
            throw .malformed("segment \(info.number) in level \(segment.level)")
        }
        guard info.number >= 1, info.number < nextSegmentNumber else {
            throw .malformed("segment \(info.number), the next is \(nextSegmentNumber)")
        }
        guard info.smallest.count <= Limits.keySize, info.largest.count <= Limits.keySize,
            !Self.isLess(info.largest, info.smallest), info.minSequence <= info.maxSequence,
            info.maxSequence <= ManifestFormat.numberMax,
            sizes.allSatisfy({ $0 <= ManifestFormat.segmentSizeMax })
        else { throw .malformed("bounds of segment \(info.number)") }
    }

    /// Inserts sorted segments into others that are sorted alike, from the back.
    private static func merge(
        _ added: [SegmentInfo],
        into segments: inout [SegmentInfo],
        by precedes: (SegmentInfo, SegmentInfo) -> Bool
    ) {
        // Before `end` is what has its place still to be found, from `target` on what has it;
        // between them is room for as many as remain to be inserted.
        var end = segments.count
        segments.append(contentsOf: added)
        var target = segments.count
        for info in added.reversed() {
            let place = firstIndex(in: segments, 0..<end) { !precedes($0, info) }
            while end > place {
                end -= 1
                target -= 1
                segments.swapAt(end, target)
            }
            target -= 1
            segments[target] = info
        }
    }

    /// Refuses added segments that overlap a neighbour; the other pairs were checked before.
    private func checkDisjoint(
        around added: [SegmentInfo],
        level: Int
    ) throws(DecodingFailure) {
        let segments = levels[level]
        var index = 0
        for info in added {
            index = Self.firstIndex(in: segments, index..<segments.count) {
                !Self.isBefore($0, info)
            }
            let overlapsLeft = index > 0 && !segments[index - 1].ends(before: info)
            let overlapsRight =
                index + 1 < segments.count
                && !info.ends(before: segments[index + 1])
            guard !overlapsLeft, !overlapsRight else {
                throw .malformed("segment \(info.number) overlaps another of level \(level)")
            }
        }
    }

    /// The first index of a range from which on a condition holds, by binary search.
    private static func firstIndex(
        in segments: [SegmentInfo],
        _ range: Range<Int>,
        where condition: (SegmentInfo) -> Bool
    ) -> Int {
        var (low, high) = (range.lowerBound, range.upperBound)
        while low < high {
            let middle = low + (high - low) / 2
            if condition(segments[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// The order of level 0.
    private static func isNewer(_ left: SegmentInfo, _ right: SegmentInfo) -> Bool {
        (left.maxSequence, left.number) > (right.maxSequence, right.number)
    }

    /// The order of the other levels; of segments that overlap, it only has to be one.
    private static func isBefore(_ left: SegmentInfo, _ right: SegmentInfo) -> Bool {
        if isLess(left.smallest, right.smallest) { return true }
        return left.number < right.number && left.smallest == right.smallest
    }

    private static func isLess(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        let order = left.withUnsafeBytes { left in
            right.withUnsafeBytes { right in
                // Neither may be passed when it is empty: it has no address then.
                guard let leftStart = left.baseAddress, let rightStart = right.baseAddress else {
                    return Int32(0)
                }
                return memcmp(leftStart, rightStart, min(left.count, right.count))
            }
        }
        return order == 0 ? left.count < right.count : order < 0
    }
}
