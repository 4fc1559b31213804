import StorageEngineTestSupport

@testable import StorageEngine

/// What a manifest's state should be, kept the plain way.
struct ManifestModel {
    var segments: [UInt64: LevelSegment] = [:]
    var flushed = FlushMark.start
    var logStart = LogEnd.start
    var epochs: [EpochEntry] = []
    var deltaHorizon: UInt64 = 0
    var nextSegmentNumber: UInt64 = 1

    mutating func apply(_ edit: VersionEdit) {
        for place in edit.removed { segments[place.number] = nil }
        for segment in edit.added { segments[segment.info.number] = segment }
        flushed = edit.flushed ?? flushed
        logStart = edit.logStart ?? logStart
        epochs += edit.epochs
        deltaHorizon = max(deltaHorizon, edit.deltaHorizon ?? 0)
        nextSegmentNumber = edit.nextSegmentNumber ?? nextSegmentNumber
    }

    func level(_ level: Int) -> [SegmentInfo] {
        segments.values.filter { $0.level == level }.map(\.info).sorted { left, right in
            if level == 0 {
                return (left.maxSequence, left.number) > (right.maxSequence, right.number)
            }
            return left.smallest.lexicographicallyPrecedes(right.smallest)
        }
    }

    func matches(_ state: ManifestState) -> Bool {
        state.levels == (0..<7).map(level) && state.flushed == flushed
            && state.logStart == logStart && state.epochs == epochs
            && state.deltaHorizon == deltaHorizon && state.nextSegmentNumber == nextSegmentNumber
            && state.segmentCount == segments.count
    }

    /// Whether bounds touch no other segment of a level.
    func isFree(_ smallest: [UInt8], _ largest: [UInt8], level: Int) -> Bool {
        level == 0
            || segments.values.allSatisfy { other in
                other.level != level
                    || other.info.largest.lexicographicallyPrecedes(smallest)
                    || largest.lexicographicallyPrecedes(other.info.smallest)
            }
    }
}

/// Draws edits that fit what was drawn before.
struct EditMaker {
    var generator: SeededGenerator
    private(set) var model = ManifestModel()
    /// Bytes behind each key that only make it longer.
    var padding = 0

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    /// Forgets an edit whose commit failed.
    mutating func restore(_ old: ManifestModel) { model = old }

    mutating func next() -> VersionEdit {
        var edit = VersionEdit()
        var after = model
        drawMarks(&edit)
        after.flushed = edit.flushed ?? after.flushed
        for number in model.segments.keys.sorted() where chance(10) {
            guard let segment = model.segments[number] else { continue }
            edit.removed.append(SegmentPlace(level: segment.level, number: number))
            after.segments[number] = nil
            // Some go to another level instead.
            if chance(50) { add(segment.info, to: &edit, &after) }
        }
        for _ in 0..<below(5) {
            let info = drawSegment(number: after.nextSegmentNumber)
            after.nextSegmentNumber += 1 + below(2)
            add(info, to: &edit, &after)
        }
        if after.nextSegmentNumber != model.nextSegmentNumber || chance(10) {
            edit.nextSegmentNumber = after.nextSegmentNumber
        }
        model.apply(edit)
        return edit
    }

    private func isPlaceable(_ info: SegmentInfo, _ level: Int, _ after: ManifestModel) -> Bool {
        after.isFree(info.smallest, info.largest, level: level)
    }

    private mutating func add(
        _ info: SegmentInfo,
        to edit: inout VersionEdit,
        _ after: inout ManifestModel
    ) {
        let wanted = Int(below(7))
        let level = isPlaceable(info, wanted, after) ? wanted : 0
        let segment = LevelSegment(level: level, info: info)
        edit.added.append(segment)
        after.segments[info.number] = segment
    }

    private mutating func drawMarks(_ edit: inout VersionEdit) {
        if chance(40) {
            let epoch = model.flushed.epoch
            edit.flushed = FlushMark(
                epoch: chance(20)
                    ? Epoch(number: epoch.number + 1, starter: generator.next()) : epoch,
                sequence: model.flushed.sequence + below(300),
                logHash: generator.next()
            )
        }
        if chance(20), let flushed = edit.flushed {
            edit.logStart = LogEnd(
                fileNumber: model.logStart.fileNumber + 1 + below(3),
                length: 4096 + below(9000) * 8,
                lastSequence: max(model.logStart.lastSequence, flushed.sequence / 2),
                logHash: generator.next()
            )
        }
        if chance(10) {
            let last = model.epochs.last
            edit.epochs = (1...(1 + below(2))).map {
                EpochEntry(
                    epoch: Epoch(number: (last?.epoch.number ?? 0) + $0, starter: generator.next()),
                    lastSequenceBefore: (last?.lastSequenceBefore ?? 0) + $0 * 7,
                    logHashBefore: generator.next()
                )
            }
        }
        if chance(15) { edit.deltaHorizon = below(10_000) }
    }

    mutating func drawSegment(number: UInt64) -> SegmentInfo {
        var info = SegmentInfo(number: number)
        let start = below(60_000)
        info.smallest = key(start)
        info.largest = key(start + below(400))
        info.size = below(1 << 40)
        info.checksum = generator.next()
        info.minSequence = below(1000)
        info.maxSequence = info.minSequence + below(50)
        info.entryCount = below(1 << 20)
        info.tombstoneCount = below(100)
        info.rangeTombstoneCount = below(3)
        info.rawBytes = below(1 << 42)
        info.keyCount = info.entryCount / 2
        return info
    }

    /// Keys of several lengths, in the order of their numbers.
    private func key(_ number: UInt64) -> [UInt8] {
        let bytes = [UInt8(truncatingIfNeeded: number >> 8), UInt8(truncatingIfNeeded: number)]
        // Not to be compressed.
        var random = SeededGenerator(seed: number)
        let tail = (0..<padding).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        return bytes + tail + (number % 3 == 0 ? [0] : [])
    }

    private mutating func below(_ limit: UInt64) -> UInt64 { generator.next() % limit }

    private mutating func chance(_ percent: UInt64) -> Bool { below(100) < percent }
}
