import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// The change feed of stores with real files and the engine's own threads.
@Suite struct FeedTests {
    private let directory = TemporaryDirectory()

    private func open(_ adjust: (inout Engine.Options) -> Void = { _ in }) throws -> Engine {
        var options = Engine.Options()
        options.logger = .silent
        options.logFileSize = 16_384
        options.writeBufferSize = 16_384
        adjust(&options)
        return try Engine.open(at: directory.path + "/db", options: options)
    }

    /// A record as text: its sequence and its operations.
    private func text(_ record: ChangeRecord) -> String {
        var text = "\(record.position.sequence)"
        record.forEachOperation { kind, key, value in
            let key = key.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
            let value = value.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
            text += " \(kind) \(key) \(value)"
        }
        return text
    }

    private func fill(_ engine: Engine, _ range: Range<Int>, ack: AckPoint = .wal) throws {
        for number in range {
            // It does not compress, so that log files change.
            var generator = SeededGenerator(seed: UInt64(number))
            let value = (0..<100).map { _ in UInt8.random(in: 0...255, using: &generator) }
            try engine.put(value, for: "k\(number)", ack: ack)
        }
    }

    /// What a cursor yields until there is no more.
    private func drain(_ cursor: inout ChangeCursor) throws -> [UInt64] {
        var found: [UInt64] = []
        while try cursor.next() {
            #expect(
                cursor.record.previousSequence == (found.last ?? cursor.record.previousSequence)
            )
            found.append(cursor.record.position.sequence)
        }
        return found
    }

    @Test func recordsArriveWholeAndInOrder() throws {
        let engine = try open()
        var batch = WriteBatch()
        try batch.put("1", for: "a")
        try batch.delete("b")
        try batch.deleteRange(KeyRange(from: Array("c".utf8), to: Array("d".utf8)))
        try engine.write(batch)
        try engine.put("2", for: "e")

        var cursor = try engine.changeCursor()
        var found: [String] = []
        while try cursor.next() { found.append(text(cursor.record)) }

        #expect(found.count == 2)
        #expect(found[0].hasPrefix("1 "))
        for part in ["put a 1", "delete b ", "deleteRange c d"] { #expect(found[0].contains(part)) }
        #expect(found[1] == "2 put e 2")
        try engine.close()
    }

    @Test func everyStartIsExactAcrossFilesAndReopens() throws {
        var engine = try open()
        try fill(engine, 0..<400)
        try engine.close()
        engine = try open()
        try fill(engine, 400..<600)
        let files = try #require(engine.pipeline).catalog.files.count

        for start in stride(from: UInt64(0), through: 600, by: 37) {
            var cursor = try engine.changeCursor(after: Position(sequence: start), upTo: .wal)
            #expect(try drain(&cursor) == Array(start + 1..<601), "start \(start)")
        }
        #expect(files > 2)
        try engine.close()
    }

    @Test func aPositionWithItsHashIsVerified() throws {
        var engine = try open()
        try fill(engine, 0..<300)
        var positions: [Position] = []
        var cursor = try engine.changeCursor(upTo: .wal)
        while try cursor.next() { positions.append(cursor.record.position) }
        _ = consume cursor
        #expect(positions.last == (try engine.position()))

        for round in 0..<2 {
            for position in positions {
                var cursor = try engine.changeCursor(after: position, upTo: .wal)
                #expect(try drain(&cursor).count == 300 - Int(position.sequence), "round \(round)")
                let wrong = Position(
                    epoch: position.epoch,
                    sequence: position.sequence,
                    logHash: (position.logHash ?? 0) ^ 1
                )
                #expect(code { _ = try engine.changeCursor(after: wrong) } == .diverged)
            }
            try engine.close()
            engine = try open()
        }
        let strange = Position(epoch: Epoch(number: 1, starter: 5), sequence: 3)
        #expect(code { _ = try engine.changeCursor(after: strange) } == .diverged)
        let late = Position(sequence: 301)
        #expect(code { _ = try engine.changeCursor(after: late) } == .ahead)
        try engine.close()
    }

    /// Found by simulation: where the oldest log file is the second of its epoch, and the first
    /// held no record, the log hash before it is that of the epoch's beginning, and of no record.
    @Test func aPlaceWhereAnEpochBeganIsKnownWhenItsFirstFileIsGone() throws {
        let fileSystem = SimulatedFileSystem(profile: .strict)
        do {
            let engine = try openSimulated(fileSystem)
            _ = try EngineStepper(engine).put("1", for: "a", ack: .disk)
            try engine.close()
        }
        let place: Position
        do {
            let engine = try openSimulated(fileSystem)
            place = try engine.position()
            _ = try EngineStepper(engine).put("2", for: "b", ack: .wal)
        }
        // Nothing proves the record, so that it is written again, to a file of its own.
        let engine = try openSimulated(fileSystem.killed())
        #expect(engine.recovery.rewrittenRecords == 1)
        let catalog = try #require(engine.pipeline).catalog
        let last = try #require(catalog.files.last?.number)
        catalog.removeAll(through: last - 1)
        #expect(catalog.oldest.lastSequence == place.sequence)
        #expect(catalog.oldest.logHash != place.logHash)

        var cursor = try engine.changeCursor(after: place)
        #expect(try drain(&cursor) == [2])
        let wrong = Position(
            epoch: place.epoch,
            sequence: place.sequence,
            logHash: catalog.oldest.logHash
        )
        #expect(code { _ = try engine.changeCursor(after: wrong) } == .diverged)
    }

    @Test func startingAnywhereInALogReadsLittleFirst() throws {
        let fileSystem = SimulatedFileSystem(profile: .ext4)
        func adjust(_ options: inout Engine.Options) {
            options.logFileSize = 3 << 20
            options.retainedLogSize = 1 << 30
        }
        var engine = try openSimulated(fileSystem, adjust)
        let stepper = EngineStepper(engine)
        let count = 6000
        for number in 0..<count {
            var generator = SeededGenerator(seed: UInt64(number))
            let value = (0..<900).map { _ in UInt8.random(in: 0...255, using: &generator) }
            var batch = WriteBatch()
            try batch.put(value, for: "k\(number)")
            _ = try stepper.complete(stepper.submit(batch, ack: .wal))
            for _ in 0..<(number % 500 == 0 ? 10 : 0) { stepper.work() }
        }
        let sizes = try #require(engine.pipeline).catalog.files.count
        #expect(sizes > 1)
        for round in 0..<2 {
            for start in stride(from: 1, to: count, by: 97) {
                let before = fileSystem.readSize
                var cursor = try engine.changeCursor(
                    after: Position(sequence: UInt64(start)),
                    upTo: .wal
                )
                #expect(try cursor.next() && cursor.record.position.sequence == UInt64(start + 1))
                let size = fileSystem.readSize - before
                #expect(size <= 512 << 10, "round \(round), start \(start): \(size) bytes")
            }
            // Where each file's restart frames are is then read from the file itself.
            try engine.close()
            engine = try openSimulated(fileSystem, adjust)
        }
    }

    @Test func aConsumerGoesFromFilesToMemoryAndBack() throws {
        let engine = try open { $0.logFileSize = 1 << 20 }
        try fill(engine, 0..<100)
        var cursor = try engine.changeCursor(upTo: .wal)
        var found = try drain(&cursor)
        for round in 1...5 {
            // More than memory keeps in the third round, so that it is read from files again.
            let value = String(repeating: "x", count: round == 3 ? 100_000 : 100)
            for number in 0..<100 { try engine.put(value, for: "\(round).\(number)", ack: .wal) }
            found += try drain(&cursor)
        }
        #expect(found == Array(1...600))
        try engine.close()
    }

    @Test func nothingIsSeenBeforeItsHorizon() throws {
        let fileSystem = SimulatedFileSystem(profile: .ext4)
        let engine = try openSimulated(fileSystem)
        let stepper = EngineStepper(engine)
        let cursors = try AckPoint.allCases.map { Held(try engine.changeCursor(upTo: $0)) }

        _ = try stepper.put("1", for: "a", ack: .memory)
        #expect(try cursors.map { try $0.count() } == [1, 0, 0])
        _ = try stepper.put("2", for: "b", ack: .wal)
        #expect(try cursors.map { try $0.count() } == [1, 2, 0])
        _ = try stepper.put("3", for: "c", ack: .disk)
        #expect(try cursors.map { try $0.count() } == [1, 1, 3])
    }

    /// A cursor that can be kept in an array.
    private final class Held {
        private var cursor: ChangeCursor
        init(_ cursor: consuming ChangeCursor) { self.cursor = cursor }

        /// How many records are there now.
        func count() throws -> Int {
            var count = 0
            while try cursor.next() { count += 1 }
            return count
        }
    }

    @Test func aFilterLeavesOutWhatTouchesNoneOfItsKeysAndStillTellsProgress() throws {
        let engine = try open()
        for number in 0..<50 {
            try engine.put("v", for: number % 10 == 0 ? "a\(number)" : "b", ack: .wal)
        }
        try engine.deleteRange(KeyRange(from: Array("a3".utf8), to: Array("c".utf8)), ack: .wal)

        let filter = KeyRange(prefix: Array("a".utf8))
        var cursor = try engine.changeCursor(upTo: .wal, filter: filter)
        var found: [String] = []
        while try cursor.next() { found.append(text(cursor.record)) }

        #expect(
            found.dropLast() == [
                "1 put a0 v", "11 put a10 v", "21 put a20 v", "31 put a30 v", "41 put a40 v",
            ]
        )
        #expect(found.last == "51 deleteRange a3 c")
        try engine.put("v", for: "z", ack: .wal)
        #expect(try !cursor.next())
        #expect(cursor.position.sequence == 52)
        try engine.close()
    }

    @Test func consumersOfDifferentSpeedsEachGetEverything() async throws {
        let engine = try open()
        let count = 3000
        try await withThrowingTaskGroup(of: Void.self) { group in
            for pace in [1, 3, 50] {
                let changes = try await engine.changes(upTo: pace == 1 ? .memory : .disk)
                group.addTask { try await expectAll(count, in: changes, pace: pace) }
            }
            group.addTask {
                for number in 0..<count {
                    try await engine.put("\(number)", for: "k\(number % 70)", ack: .memory)
                }
            }
            try await group.waitForAll()
        }
        try await engine.close()
    }

    /// Takes in every record once, and yields between batches.
    private func expectAll(_ count: Int, in changes: Changes, pace: Int) async throws {
        var expected: UInt64 = 1
        for try await batch in changes {
            batch.forEach { record in
                #expect(record.position.sequence == expected)
                expected = record.position.sequence + 1
            }
            for _ in 0..<pace { await Task.yield() }
            if expected > UInt64(count) { return }
        }
    }

    @Test func waitingEndsWithTheTaskAndWithTheEngine() async throws {
        let engine = try open()
        let changes = try await engine.changes()
        let cancelled = Task { for try await _ in changes {} }
        let closed = Task { for try await _ in changes {} }
        cancelled.cancel()
        await #expect(throws: CancellationError.self) { try await cancelled.value }
        try await engine.close()
        let error = await #expect(throws: EngineError.self) { try await closed.value }
        #expect(error?.code == .closed)
    }
}
