// Which segments to merge next: leveled compaction, as in LevelDB and RocksDB. A pure function from
// what there is to a choice.
//
// (1) Level 0 is compacted as a whole, when it has several segments; a compaction of it excludes
//     others of it.
// (2) Any other level is compacted when it holds more bytes than its target; each target is a
//     multiple of the one above. The segment goes first that rewrites the fewest bytes of the next
//     level for each of its own.
// (3) A compaction takes all segments of the next level between its least and greatest key.
// (4) An output ends where a segment of the level behind it begins, when it has at least half its
//     size: a later compaction of it then takes in no segment of which it touches an edge only.
//     See `SegmentCut`, and docs/decisions/0005.
// (5) Two compactions share no input; those that write to one level write to ranges that do not
//     touch, so that the level stays without overlap.

/// The limits that say when a level is too large.
package struct CompactionLimits: Sendable, Hashable {
    /// Segments of level 0 that start a compaction.
    package var level0Count = 6
    /// The bytes that level 1 may hold.
    package var levelBaseSize: UInt64 = 256 << 20
    /// How many times as much each further level may hold.
    package var levelMultiplier: UInt64 = 10
    /// The size at which an output ends, from half to one and a half times as much where the level
    /// behind it has segments.
    package var segmentSize: UInt64 = 64 << 20

    package init() {}

    /// The bytes that a level may hold, level 1 and on.
    package func target(_ level: Int) -> UInt64 {
        var target = levelBaseSize
        for _ in 1..<max(level, 1) {
            let (next, overflow) = target.multipliedReportingOverflow(by: levelMultiplier)
            if overflow { return .max }
            target = next
        }
        return target
    }
}

/// A range of keys, both ends included.
package struct KeySpan: Sendable, Hashable {
    package var least: [UInt8]
    package var greatest: [UInt8]

    /// What segments span together; `nil` for none.
    package init?(_ segments: [SegmentInfo]) {
        guard let first = segments.first else { return nil }
        least = first.smallest
        greatest = first.largest
        for segment in segments.dropFirst() {
            if segment.smallest.lexicographicallyPrecedes(least) { least = segment.smallest }
            if greatest.lexicographicallyPrecedes(segment.largest) { greatest = segment.largest }
        }
    }

    package func touches(_ other: KeySpan) -> Bool {
        !greatest.lexicographicallyPrecedes(other.least)
            && !other.greatest.lexicographicallyPrecedes(least)
    }
}

/// Segments to merge, and where the result goes.
package struct CompactionChoice: Sendable, Hashable {
    package let level: Int
    /// Of the level, in its order.
    package let inputs: [SegmentInfo]
    /// Of the level behind it, between the least and the greatest key of the inputs.
    package let overlapped: [SegmentInfo]
    /// What all of them span.
    package let span: KeySpan
    /// Where the result goes: the next level, or the same one when only what is dead is to go.
    package let outputLevel: Int

    package var all: [SegmentInfo] { inputs + overlapped }
    package var size: UInt64 { all.reduce(0) { $0 + $1.size } }

    /// Whether the one input can become part of the next level as it is.
    package var isMove: Bool {
        inputs.count == 1 && overlapped.isEmpty && outputLevel > level
    }
}

/// Chooses compactions.
///
/// Thread safety: immutable.
package struct CompactionPicker: Sendable {
    package let limits: CompactionLimits

    package init(limits: CompactionLimits) { self.limits = limits }

    /// How urgently a level wants to be compacted; from 1 on it is.
    package func score(_ level: Int, _ segments: [SegmentInfo]) -> Double {
        if level == 0 { return Double(segments.count) / Double(limits.level0Count) }
        let size = segments.reduce(0) { $0 + $1.size }
        return Double(size) / Double(limits.target(level))
    }

    /// The most urgent compaction that can run beside others; `nil` when there is none.
    package func choice(
        _ levels: [[SegmentInfo]],
        beside running: [CompactionChoice]
    ) -> CompactionChoice? {
        let last = min(levels.count, ManifestFormat.levelCount - 1)
        let scores = (0..<last).map { (level: $0, score: score($0, levels[$0])) }
        for (level, score) in scores.sorted(by: { $0.score > $1.score }) where score >= 1 {
            if let choice = choice(level, levels, beside: running) { return choice }
        }
        return nil
    }

    /// A compaction of everything of a level that touches a range; `nil` when there is nothing, or
    /// it cannot run beside others.
    package func choice(
        compacting range: KeyRange,
        level: Int,
        _ levels: [[SegmentInfo]],
        beside running: [CompactionChoice]
    ) -> CompactionChoice? {
        guard level < min(levels.count, ManifestFormat.levelCount - 1) else { return nil }
        let inputs = levels[level].filter { $0.touches(range) }
        // Of level 0 the older ones below must go along.
        let all = level == 0 && !inputs.isEmpty ? levels[0] : inputs
        return complete(all, level, levels, beside: running)
    }

    /// A compaction of a segment by itself, in the deepest level that touches a range, when it has
    /// what may be dropped: mostly what snapshots saw that are gone. `nil` when there is none, or
    /// it cannot run beside others.
    ///
    /// `number`: newer segments were just written, and have nothing to drop.
    package func choice(
        cleaning range: KeyRange,
        below number: UInt64,
        _ levels: [[SegmentInfo]],
        beside running: [CompactionChoice]
    ) -> CompactionChoice? {
        guard let deepest = levels.lastIndex(where: { $0.contains { $0.touches(range) } }),
            deepest > 0
        else { return nil }
        for segment in levels[deepest] where segment.number < number && segment.touches(range) {
            guard segment.deadCount + segment.rangeTombstoneCount > 0 else { continue }
            let choice = complete([segment], deepest, [], beside: running, isCleaning: true)
            if let choice { return choice }
        }
        return nil
    }

    private func choice(
        _ level: Int,
        _ levels: [[SegmentInfo]],
        beside running: [CompactionChoice]
    ) -> CompactionChoice? {
        if level == 0 { return complete(levels[0], 0, levels, beside: running) }
        var best: (choice: CompactionChoice, cost: Double)?
        for segment in levels[level] {
            guard let choice = complete([segment], level, levels, beside: running) else { continue }
            let rewritten = choice.overlapped.reduce(0) { $0 + $1.size }
            let cost = Double(rewritten) / Double(max(segment.size, 1))
            if best.map({ cost < $0.cost }) ?? true { best = (choice, cost) }
        }
        return best?.choice
    }

    /// The choice of some inputs of a level; `nil` when it is in the way of one that runs.
    private func complete(
        _ inputs: [SegmentInfo],
        _ level: Int,
        _ levels: [[SegmentInfo]],
        beside running: [CompactionChoice],
        isCleaning: Bool = false
    ) -> CompactionChoice? {
        guard let span = KeySpan(inputs) else { return nil }
        let next = level + 1 < levels.count && !isCleaning ? levels[level + 1] : []
        let overlapped = Array(next[touching: span])
        guard let whole = KeySpan(inputs + overlapped) else { return nil }
        let choice = CompactionChoice(
            level: level,
            inputs: inputs,
            overlapped: overlapped,
            span: whole,
            outputLevel: isCleaning ? level : level + 1
        )
        let numbers = Set(choice.all.map(\.number))
        let isFree = running.allSatisfy { other in
            other.all.allSatisfy { !numbers.contains($0.number) }
                && !(other.level == 0 && level == 0)
                && !(other.outputLevel == choice.outputLevel && other.span.touches(whole))
        }
        return isFree ? choice : nil
    }
}

extension [SegmentInfo] {
    /// The segments that touch a span, of a level that is sorted and without overlap.
    fileprivate subscript(touching span: KeySpan) -> ArraySlice<SegmentInfo> {
        let start = partition { !$0.largest.lexicographicallyPrecedes(span.least) }
        let end = partition { span.greatest.lexicographicallyPrecedes($0.smallest) }
        return self[start..<Swift.max(start, end)]
    }
}
