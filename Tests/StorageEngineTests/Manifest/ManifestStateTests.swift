import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// What edits do to the state, and which are refused.
@Suite struct ManifestStateTests {
    @Test(arguments: UInt64(0)..<40)
    func editsDoWhatAPlainModelSays(seed: UInt64) throws {
        var maker = EditMaker(seed: seed)
        var state = ManifestState()

        for step in 0..<60 {
            let edit = maker.next()
            try state.apply(edit)

            #expect(maker.model.matches(state), "step \(step)")
        }
        #expect(state.segmentCount > 20)
        var copy = ManifestState()
        try copy.apply(state.snapshot)
        #expect(copy == state)
    }

    @Test(arguments: UInt64(0)..<10)
    func theOrderWithinAnEditDoesNotMatter(seed: UInt64) throws {
        var maker = EditMaker(seed: seed)
        var state = ManifestState()
        var shuffled = ManifestState()

        for _ in 0..<30 {
            var edit = maker.next()
            try state.apply(edit)
            edit.added.shuffle(using: &maker.generator)
            edit.removed.shuffle(using: &maker.generator)
            try shuffled.apply(edit)
        }

        #expect(state == shuffled)
        var edit = state.snapshot
        edit.added.shuffle(using: &maker.generator)
        var copy = ManifestState()
        try copy.apply(edit)
        #expect(copy == state)
    }

    @Test(arguments: [1, 500, 5000, 1 << 30])
    func aSplitSnapshotGivesTheSameState(sizeMax: Int) throws {
        var maker = EditMaker(seed: 3)
        var state = ManifestState()
        for _ in 0..<40 { try state.apply(maker.next()) }

        let parts = state.snapshot.split(sizeMax: sizeMax)

        #expect(sizeMax < 1 << 20 ? parts.count > 1 : parts.count == 1)
        var copy = ManifestState()
        for part in parts { try copy.apply(part) }
        #expect(copy == state)
        #expect(ManifestState().snapshot.split(sizeMax: sizeMax).count == 1)
    }

    @Test func newestSegmentsOfLevelZeroComeFirst() throws {
        var state = ManifestState()
        var edit = VersionEdit()
        edit.nextSegmentNumber = 10
        for (number, sequence) in [(1, 5), (2, 9), (3, 9), (4, 1)] as [(UInt64, UInt64)] {
            edit.add(number, level: 0, "a", "z") { $0.maxSequence = sequence }
        }

        try state.apply(edit)

        #expect(state.levels[0].map(\.number) == [3, 2, 1, 4])
    }

    @Test func aSegmentMayChangeItsLevel() throws {
        var state = try Self.filled()
        var edit = VersionEdit()
        edit.removed = [SegmentPlace(level: 1, number: 2)]
        edit.add(2, level: 3, "a", "c")

        try state.apply(edit)

        #expect(state.levels.map { $0.map(\.number) } == [[1], [3], [], [2], [], [], []])
    }

    @Test func anOlderDeltaHorizonDoesNotLowerIt() throws {
        var state = try Self.filled()
        var edit = VersionEdit()
        edit.deltaHorizon = 3

        try state.apply(edit)

        #expect(state.deltaHorizon == 40)
    }

    /// Segment 1 in level 0, 2 (a...c) and 3 (f...h) in level 1, and all marks set.
    static func filled() throws -> ManifestState {
        var state = ManifestState()
        var edit = VersionEdit()
        edit.nextSegmentNumber = 10
        edit.flushed = FlushMark(
            epoch: Epoch(number: 3, starter: 1),
            sequence: 100,
            logHash: 5
        )
        edit.logStart = LogEnd(fileNumber: 4, length: 8192, lastSequence: 90, logHash: 6)
        edit.epochs = [epoch(3, after: 50)]
        edit.deltaHorizon = 40
        edit.add(1, level: 0, "a", "z")
        edit.add(2, level: 1, "a", "c")
        edit.add(3, level: 1, "f", "h")
        try state.apply(edit)
        return state
    }

    static func epoch(_ number: UInt64, after sequence: UInt64) -> EpochEntry {
        EpochEntry(
            epoch: Epoch(number: number, starter: 1),
            lastSequenceBefore: sequence,
            logHashBefore: 9
        )
    }

    struct BadEdit: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let edit: VersionEdit

        init(_ description: String, _ change: (inout VersionEdit) -> Void) {
            testDescription = description
            var edit = VersionEdit()
            // Right by itself: it must not be there afterwards.
            edit.nextSegmentNumber = 11
            edit.removed = [SegmentPlace(level: 0, number: 1)]
            edit.add(10, level: 2, "a", "b")
            edit.deltaHorizon = 41
            change(&edit)
            self.edit = edit
        }
    }

    static let badPlaces: [BadEdit] = [
        BadEdit("removes an unknown number") { $0.removed += [.init(level: 1, number: 7)] },
        BadEdit("removes from the wrong level") { $0.removed += [.init(level: 2, number: 2)] },
        BadEdit("removes twice") { $0.removed += [.init(level: 0, number: 1)] },
        BadEdit("removes from level 7") { $0.removed += [.init(level: 7, number: 2)] },
        BadEdit("removes from level -1") { $0.removed += [.init(level: -1, number: 2)] },
        BadEdit("removes what it adds") { $0.removed += [.init(level: 2, number: 10)] },
        BadEdit("adds a number that is there") { $0.add(3, level: 0, "a", "b") },
        BadEdit("adds a number twice") { $0.add(10, level: 3, "a", "b") },
        BadEdit("adds a number that was not given out") { $0.add(11, level: 0, "a", "b") },
        BadEdit("adds number 0") { $0.add(0, level: 0, "a", "b") },
        BadEdit("adds to level 7") { $0.add(9, level: 7, "a", "b") },
        BadEdit("adds to level -1") { $0.add(9, level: -1, "a", "b") },
        BadEdit("overlaps on the left") { $0.add(9, level: 1, "c", "d") },
        BadEdit("overlaps on the right") { $0.add(9, level: 1, "d", "f") },
        BadEdit("overlaps from within") { $0.add(9, level: 1, "b", "b") },
        BadEdit("overlaps all") { $0.add(9, level: 1, "", "zzz") },
        BadEdit("overlaps another addition") { $0.add(9, level: 2, "b", "d") },
        BadEdit("overlaps an equal addition") { $0.add(9, level: 2, "a", "b") },
        BadEdit("smallest above largest") { $0.add(9, level: 0, "b", "a") },
        BadEdit("smallest longer than largest") { $0.add(9, level: 0, "aa", "a") },
    ]

    static let badNumbers: [BadEdit] = [
        BadEdit("minSequence above maxSequence") {
            $0.add(9, level: 0, "a", "b") { $0.minSequence = 8 }
        },
        BadEdit("huge sequence") { $0.add(9, level: 0, "a", "b") { $0.maxSequence = .max } },
        BadEdit("huge size") { $0.add(9, level: 0, "a", "b") { $0.size = .max } },
        BadEdit("huge count") { $0.add(9, level: 0, "a", "b") { $0.entryCount = .max } },
        BadEdit("long key") {
            $0.add(9, level: 0, "a", String(repeating: "b", count: Limits.keySize + 1))
        },
        BadEdit("next number goes down") { $0.nextSegmentNumber = 9 },
        BadEdit("huge next number") { $0.nextSegmentNumber = .max },
        BadEdit("huge horizon") { $0.deltaHorizon = .max },
        BadEdit("flushed goes back") { $0.flush(epoch: 3, sequence: 99) },
        BadEdit("flushed goes to an older epoch") { $0.flush(epoch: 2, sequence: 101) },
        BadEdit("flushed huge") { $0.flush(epoch: 3, sequence: .max) },
        BadEdit("flushed in a huge epoch") { $0.flush(epoch: .max, sequence: 101) },
        BadEdit("log start goes back") { $0.startLog(3, 8192, 90) },
        BadEdit("log start changes") { $0.startLog(4, 8200, 90) },
        BadEdit("log start's sequence goes back") { $0.startLog(5, 8192, 89) },
        BadEdit("log starts behind what is flushed") { $0.startLog(5, 8192, 101) },
        BadEdit("log start in a huge file") { $0.startLog(.max, 8192, 95) },
        BadEdit("log start at a huge length") { $0.startLog(5, .max, 95) },
        BadEdit("epoch that is there") { $0.epochs = [epoch(3, after: 60)] },
        BadEdit("epochs descend") { $0.epochs = [epoch(5, after: 60), epoch(4, after: 70)] },
        BadEdit("epoch's sequence goes back") { $0.epochs = [epoch(4, after: 49)] },
        BadEdit("huge epoch") { $0.epochs = [epoch(.max, after: 60)] },
    ]

    @Test(arguments: badPlaces + badNumbers)
    func aWrongEditIsRefusedAndChangesNothing(bad: BadEdit) throws {
        let before = try Self.filled()
        var state = before

        #expect(throws: DecodingFailure.self) { try state.apply(bad.edit) }

        #expect(state == before)
    }

    @Test func theEditThatTheWrongOnesAreMadeOfIsRight() throws {
        var state = try Self.filled()

        try state.apply(BadEdit("none") { _ in }.edit)

        #expect(state.levels.map { $0.map(\.number) } == [[], [2, 3], [10], [], [], [], []])
    }
}

extension VersionEdit {
    mutating func add(
        _ number: UInt64,
        level: Int,
        _ smallest: String,
        _ largest: String,
        _ change: (inout SegmentInfo) -> Void = { _ in }
    ) {
        var info = SegmentInfo(number: number)
        info.smallest = Array(smallest.utf8)
        info.largest = Array(largest.utf8)
        change(&info)
        added.append(LevelSegment(level: level, info: info))
    }

    fileprivate mutating func flush(epoch: UInt64, sequence: UInt64) {
        flushed = FlushMark(
            epoch: Epoch(number: epoch, starter: 1),
            sequence: sequence,
            logHash: 5
        )
    }

    fileprivate mutating func startLog(_ number: UInt64, _ length: UInt64, _ sequence: UInt64) {
        logStart = LogEnd(fileNumber: number, length: length, lastSequence: sequence, logHash: 6)
    }
}
