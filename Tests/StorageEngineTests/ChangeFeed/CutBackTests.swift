import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// An old leader that returns: its history is cut back to what the new one has, and it follows.
@Suite struct CutBackTests {
    private let clock = SimulatedClock()
    private var writeBufferSize = Engine.Options().writeBufferSize

    private func environment(_ fileSystem: SimulatedFileSystem, seed: UInt64) -> Environment {
        let entropy = SharedSeed(seed)
        return Environment(
            fileSystem: fileSystem,
            time: clock,
            entropy: { entropy.next() },
            startsThreads: false
        )
    }

    /// Different random numbers each time.
    private final class SharedSeed: @unchecked Sendable {
        private var generator: SeededGenerator
        private let lock = Lock()
        init(_ seed: UInt64) { generator = SeededGenerator(seed: seed) }
        func next() -> UInt64 { lock.with { generator.next() } }
    }

    private func open(
        _ fileSystem: SimulatedFileSystem,
        follows history: UniqueID? = nil,
        seed: UInt64
    ) throws -> Engine {
        var options = Engine.Options()
        options.logFileSize = 16_384
        options.writeBufferSize = writeBufferSize
        options.logger = .silent
        options.follows = history
        return try Engine.open(
            at: "db",
            options: options,
            environment: environment(fileSystem, seed: seed)
        )
    }

    /// Writes groups of small records, several of them in one frame.
    private func write(_ engine: Engine, _ range: Range<Int>) throws {
        let stepper = EngineStepper(engine)
        for number in range {
            var generator = SeededGenerator(seed: UInt64(number))
            let value = (0..<80).map { _ in UInt8.random(in: 0...255, using: &generator) }
            var batch = WriteBatch()
            try batch.put(value, for: "k\(number % 40)")
            _ = try stepper.complete(stepper.submit(batch, ack: number % 9 == 8 ? .wal : .memory))
        }
        work(engine)
    }

    /// Does what waits for time to pass.
    private func work(_ engine: Engine) {
        let stepper = EngineStepper(engine)
        for _ in 0..<50 {
            clock.advance(by: 5_000_000)
            stepper.work()
        }
    }

    private func follow(
        _ follower: Engine,
        _ leader: Engine,
        ack: AckPoint = .wal
    ) throws {
        let cursor = try FeedCursor.open(
            try leader.writable(),
            after: follower.position(),
            horizon: .wal
        )
        while case .batch(let batch) = try cursor.next(readsFiles: true) {
            try follower.apply(ChangeBatch(batch), ack: ack)
        }
    }

    private struct Diverged {
        let old, new: SimulatedFileSystem
        let history: UniqueID
        let common: Position
        let end: UInt64
        let oldContents, commonContents: [String: String]
    }

    /// Two stores with a history in common, and what each wrote after that.
    private func diverge(common: Int, rest: Int) throws -> Diverged {
        let (oldDisk, newDisk) = (
            SimulatedFileSystem(profile: .strict), SimulatedFileSystem(profile: .strict)
        )
        let old = try open(oldDisk, seed: 1)
        let history = old.historyID
        var new = try open(newDisk, follows: history, seed: 2)
        try write(old, 0..<common)
        try follow(new, old)
        let commonContents = try text(old)
        try write(old, 1000..<1000 + rest)
        try new.close()
        new = try open(newDisk, seed: 3)
        try write(new, 2000..<2100)
        let position = try #require(old.historyLine.lastCommonPosition(with: new.historyLine))
        let contents = try text(old)
        let end = old.lastSequence
        try old.close()
        try new.close()
        return Diverged(
            old: oldDisk,
            new: newDisk,
            history: history,
            common: position,
            end: end,
            oldContents: contents,
            commonContents: commonContents
        )
    }

    /// Contents with values as numbers: they are no text.
    private func text(_ engine: Engine) throws -> [String: String] {
        var found: [String: String] = [:]
        var cursor = try engine.makeSnapshot().cursor()
        while try cursor.next() {
            let key = cursor.key.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
            found[key] = cursor.value.withUnsafeBufferPointer { "\(Array($0))" }
        }
        return found
    }

    private func cut(_ disk: SimulatedFileSystem, to position: Position) throws -> Engine.CutReport
    {
        var options = Engine.Options()
        options.logger = .silent
        return try Engine.cutBack(
            at: "db",
            to: position,
            options: options,
            environment: environment(disk, seed: 9)
        )
    }

    @Test(arguments: [(100, 30), (100, 300), (300, 5), (301, 400), (9, 9), (8, 1)])
    func anOldLeaderFollowsTheNewOne(common: Int, rest: Int) throws {
        let stores = try diverge(common: common, rest: rest)
        #expect(stores.common.sequence == UInt64(common))

        let report = try cut(stores.old, to: stores.common)
        #expect(report.position.sequence == UInt64(common))
        #expect(report.lastCutSequence == stores.end)

        let new = try open(stores.new, seed: 4)
        let old = try open(stores.old, follows: stores.history, seed: 5)
        #expect(try text(old) == stores.commonContents)
        try follow(old, new)
        #expect(try old.position() == new.position())
        #expect(try text(old) == text(new))
        #expect(old.historyLine == new.historyLine)
        try old.close()
        let again = try open(stores.old, follows: stores.history, seed: 6)
        #expect(try again.position() == new.position())
        #expect(again.historyLine == new.historyLine)
        let names = stores.old.names(inDirectory: "db/quarantine", .cached) ?? []
        #expect(!names.isEmpty)
    }

    /// Found by simulation: the files behind the cut were taken for successors.
    @Test func aCutWhereALogFileEndsTakesOutTheFilesBehindIt() throws {
        let disk = SimulatedFileSystem(profile: .strict)
        var contents: [UInt64: [String: String]] = [:]
        var history: UniqueID?
        for round in 0..<3 {
            let engine = try open(disk, seed: UInt64(round))
            history = engine.historyID
            try write(engine, round * 1000..<round * 1000 + 20)
            contents[engine.lastSequence] = try text(engine)
            // The log goes on in another file, and in another epoch.
            try engine.close()
        }
        for end in [UInt64(40), 20] {
            for round in 0..<2 {
                let report = try cut(disk, to: Position(sequence: end))
                #expect(report.position.sequence == end, "\(end), round \(round)")
                let engine = try open(disk, follows: history, seed: 9)
                #expect(engine.lastSequence == end, "\(end), round \(round)")
                #expect(try text(engine) == contents[end], "\(end), round \(round)")
                try engine.close()
            }
        }
    }

    @Test(arguments: [30, 300]) func aCutIsWholeAfterACrashAtAnyStep(rest: Int) throws {
        let stores = try diverge(common: 104, rest: rest)
        let start = stores.old.traceEnd
        _ = try cut(stores.old, to: stores.common)
        var generator = SeededGenerator(seed: 7)
        var seen: Set<UInt64> = []
        var history = stores.old.history()
        for position in start...history.end {
            history.advance(to: position)
            for policy in [CrashPolicy.none, .all, .sectors(keep: 0.5), .prefix(2)] {
                let image = history.crashed(policy, using: &generator)
                let engine = try open(image, follows: stores.history, seed: 8)
                let last = engine.lastSequence
                seen.insert(last)
                let expected = last == 104 ? stores.commonContents : stores.oldContents
                #expect(last == 104 || last == stores.end, "position \(position), \(policy)")
                #expect(try text(engine) == expected, "position \(position), \(policy)")
                try engine.close()
                #expect(try cut(image, to: stores.common).position.sequence == 104)
            }
        }
        #expect(seen == [104, stores.end])
    }

    @Test func everyCallMayFailAndTheCutIsMadeAgain() throws {
        let stores = try diverge(common: 104, rest: 200)
        let whole = stores.old.crashed(.all)
        _ = try cut(whole, to: stores.common)
        var failures = 0
        for position in 1...whole.callCount {
            let image = stores.old.crashed(.all)
            image.inject(SimulatedFault(nil, errno: 5, occurrence: position))
            if code(of: { _ = try self.cut(image, to: stores.common) }) != nil { failures += 1 }
            image.removeFaults()
            #expect(try cut(image, to: stores.common).position.sequence == 104, "call \(position)")
            let engine = try open(image, follows: stores.history, seed: 8)
            #expect(try text(engine) == stores.commonContents, "call \(position)")
        }
        #expect(failures > 20)
    }

    @Test func whatCannotBeCutIsRefusedAndLeftAsItIs() throws {
        let stores = try diverge(common: 100, rest: 50)
        let wrong = Position(epoch: stores.common.epoch, sequence: 100, logHash: 1)
        #expect(code { _ = try self.cut(stores.old, to: wrong) } == .diverged)
        #expect(code { _ = try self.cut(stores.old, to: .start) } == .copyNeeded)
        #expect(try cut(stores.old, to: Position(sequence: 1000)).lastCutSequence == stores.end)
        let engine = try open(stores.old, seed: 4)
        #expect(try text(engine) == stores.oldContents)
        #expect(code { _ = try self.cut(stores.old, to: stores.common) } == .locked)
    }

    /// Two leaders went on from one place, each in an epoch of the same number. The manifest has
    /// the first one's, which a follower cut off before it followed the second.
    @Test mutating func anEpochThatWasCutOffDoesNotComeBack() throws {
        writeBufferSize = 16_384
        let leaderDisk = SimulatedFileSystem(profile: .strict)
        let disk = SimulatedFileSystem(profile: .strict)
        let leader = try open(leaderDisk, seed: 1)
        var follower = try open(disk, follows: leader.historyID, seed: 2)
        try write(leader, 0..<190)
        try follow(follower, leader)
        let common = try leader.position()
        try leader.close()
        let (first, second) = (
            try open(leaderDisk.crashed(.all), seed: 3), try open(leaderDisk.crashed(.all), seed: 4)
        )
        try write(first, 1_000..<1_010)
        try write(second, 2_000..<2_190)
        let (gone, epochs) = (first.historyLine.epochs, second.historyLine.epochs)
        #expect(gone.last?.epoch.number == epochs.last?.epoch.number && gone != epochs)

        try follow(follower, first, ack: .disk)
        work(follower)
        #expect(follower.metrics.flushes > 0)
        try follower.closeWithoutFlush()
        let known = try manifest(of: disk).epochs
        #expect(known.last == gone.last, "the manifest has the epoch")
        _ = try Engine.cutBack(
            at: "db",
            to: common,
            options: Engine.Options(),
            environment: environment(disk, seed: 5)
        )
        follower = try open(disk, follows: second.historyID, seed: 6)
        try follow(follower, second, ack: .disk)
        var image = disk.crashed(.all)
        try #expect(found(in: image) == epochs)
        work(follower)
        image = disk.crashed(.all)
        try #expect(manifest(of: image).epochs == epochs)
        try #expect(found(in: image) == epochs)
    }

    /// The epochs that an opening finds.
    private func found(in disk: SimulatedFileSystem) throws -> [EpochEntry] {
        try open(disk, seed: 7).historyLine.epochs
    }

    private func manifest(of disk: SimulatedFileSystem) throws -> ManifestState {
        let directory = try StoreDirectory.open(path: "db", in: disk)
        let mark = try ManifestStore.mark(directory)
        return try OpenedTree(directory: directory, mark: mark, cache: BlockCache(budget: 0)).state
    }

    @Test func theLastCommonPositionIsWhereTheOlderOfTwoEpochsBegan() {
        func entry(_ number: UInt64, _ starter: UInt64, at sequence: UInt64) -> EpochEntry {
            EpochEntry(
                epoch: Epoch(number: number, starter: starter),
                lastSequenceBefore: sequence,
                logHashBefore: 0
            )
        }
        func line(_ epochs: [EpochEntry], _ end: UInt64) -> HistoryLine {
            HistoryLine(epochs: epochs, lastSequence: end)
        }
        let one = line([entry(1, 1, at: 0), entry(2, 1, at: 10)], 30)
        let other = line([entry(1, 1, at: 0), entry(2, 2, at: 7), entry(3, 1, at: 20)], 40)
        #expect(one.lastCommonPosition(with: other)?.sequence == 7)
        #expect(one.lastCommonPosition(with: line(one.epochs, 25))?.sequence == 25)
        #expect(one.lastCommonPosition(with: line([entry(1, 1, at: 0)], 9))?.sequence == 9)
        #expect(one.lastCommonPosition(with: line([entry(1, 9, at: 0)], 9)) == nil)
    }

    /// Found by simulation: a follower of a leader whose first write was readable, but not
    /// finished, was told that both have that write.
    @Test func theLineHasTheEpochOfEveryRecordThatCanBeRead() throws {
        let disk = SimulatedFileSystem(profile: .strict)
        var engine = try open(disk, seed: 1)
        try write(engine, 0..<10)
        let before = engine.historyLine
        try engine.close()
        engine = try open(disk, seed: 2)
        let stepper = EngineStepper(engine)
        var batch = WriteBatch()
        try batch.put("value", for: "key")
        _ = stepper.submit(batch, ack: .wal)
        let commit = try #require(stepper.take(.writer))
        #expect(engine.historyLine == before)
        stepper.perform(commit)

        let line = engine.historyLine
        #expect(line.lastSequence == before.lastSequence + 1)
        #expect(line.epochs.last?.lastSequenceBefore == before.lastSequence)
        stepper.finish(commit)
        #expect(engine.historyLine == line)
    }
}
