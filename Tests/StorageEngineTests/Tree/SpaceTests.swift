import Glibc
import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// What a store does when space is short, and what it says of the space it takes.
@Suite struct SpaceTests {
    private let clock = SimulatedClock()

    private func open(
        _ fileSystem: SimulatedFileSystem,
        _ adjust: (inout Engine.Options) -> Void = { _ in }
    ) throws -> Engine {
        try openSimulated(fileSystem, clock: clock) { options in
            options.writeBufferSize = 16_384
            options.cacheSize = 0
            options.compaction.level0Count = 2
            options.compaction.levelBaseSize = 200_000
            options.compaction.segmentSize = 50_000
            options.lowSpaceLimit = 0
            adjust(&options)
        }
    }

    /// Bytes that do not shrink.
    private func value(_ number: Int) -> [UInt8] {
        var generator = SeededGenerator(seed: UInt64(number))
        return (0..<2000).map { _ in .random(in: 0...255, using: &generator) }
    }

    private func key(_ number: Int) -> [UInt8] { Array("key\(number % 300 + 1000)".utf8) }

    /// Puts until a put is refused or a number is through, and returns the refusal.
    private func put(
        _ numbers: Range<Int>,
        _ stepper: EngineStepper,
        _ model: inout [[UInt8]: [UInt8]],
        _ work: (EngineStepper) -> Void = { $0.work() }
    ) throws -> EngineError? {
        for number in numbers {
            var batch = WriteBatch()
            try batch.put(value(number), for: key(number))
            let write = stepper.submit(batch, ack: .wal)
            var outcome = stepper.outcome(of: write)
            for _ in 0..<1000 where outcome == nil {
                work(stepper)
                clock.advance(by: 10_000_000)
                outcome = stepper.outcome(of: write)
            }
            switch try #require(outcome) {
            case .acknowledged: model[key(number)] = value(number)
            case .failed(let error): return error
            }
        }
        return nil
    }

    private func rest(_ stepper: EngineStepper) {
        for _ in 0..<60 {
            stepper.work()
            clock.advance(by: 50_000_000)
        }
    }

    private func check(_ engine: Engine, _ model: [[UInt8]: [UInt8]]) throws {
        var found: [[UInt8]: [UInt8]] = [:]
        var cursor = try engine.makeSnapshot().cursor()
        while try cursor.next() { found[cursor.key.copied] = cursor.value.copied }
        #expect(found == model)
    }

    // MARK: - Low space

    @Test func lowSpaceRefusesWritesWhileFlushesHaveRoomAndEndsWithoutARestart() async throws {
        let fileSystem = SimulatedFileSystem(capacity: 6 << 20)
        let engine = try open(fileSystem) {
            $0.lowSpaceLimit = 2 << 20
            $0.compaction.level0Count = 1000
        }
        let events = engine.events
        let stepper = EngineStepper(engine)
        var model: [[UInt8]: [UInt8]] = [:]

        let refusal = try #require(try put(0..<5000, stepper, &model))
        #expect(refusal.code == .noSpace)
        #expect(engine.metrics.stallReason == .space)
        let free = try engine.space().freeBytes
        #expect(free > 1 << 20 && free < 2 << 20, "\(free)")
        #expect(stepper.submit(try batch(1), ack: .memory).sequence == nil)
        // What is in memory goes to segments all the same, and reads go on.
        rest(stepper)
        #expect(engine.metrics.maintenanceFailures == 0 && engine.metrics.flushes > 10)
        try check(engine, model)

        fileSystem.capacity = 30 << 20
        rest(stepper)
        #expect(engine.metrics.stallReason == nil)
        #expect(try put(5000..<5050, stepper, &model) == nil)
        try check(engine, model)
        try await engine.close()
        try check(open(fileSystem), model)

        var found: [Event] = []
        for await event in events { found.append(event) }
        let begins = found.filter {
            if case .lowSpace(let free) = $0 { free < 2 << 20 } else { false }
        }
        let ends = found.filter { if case .lowSpaceEnded = $0 { true } else { false } }
        #expect(begins.count == 1 && ends.count == 1)
    }

    private func batch(_ number: Int) throws -> WriteBatch {
        var batch = WriteBatch()
        try batch.put(value(number), for: key(number))
        return batch
    }

    /// A compaction that cannot fit is not tried over and over; it runs once there is room.
    @Test func aCompactionWithoutRoomIsNotBegun() async throws {
        let fileSystem = SimulatedFileSystem(capacity: 30 << 20)
        let engine = try open(fileSystem) { $0.compaction.level0Count = 6 }
        let events = engine.events
        let stepper = EngineStepper(engine)
        try engine.pauseCompactions()
        var model: [[UInt8]: [UInt8]] = [:]
        try #require(try put(0..<70, stepper, &model) == nil)
        rest(stepper)
        let space = try engine.space()
        fileSystem.capacity -= space.freeBytes - space.segmentBytes / 2
        rest(stepper)
        try engine.resumeCompactions()
        rest(stepper)
        #expect(engine.metrics.compactions == 0 && engine.metrics.maintenanceFailures == 0)
        #expect(engine.metrics.levelSegments[0] > 6)

        fileSystem.capacity = 30 << 20
        rest(stepper)
        #expect(engine.metrics.compactions > 0)
        try check(engine, model)
        try await engine.close()
        var count = 0
        for await event in events { if case .noSpace = event { count += 1 } }
        #expect(count == 1)
    }

    @Test func aDiskThatIsFullForCompactionsIsSurvivedWithoutARestart() throws {
        let fileSystem = SimulatedFileSystem()
        let engine = try open(fileSystem)
        let stepper = EngineStepper(engine)
        var model: [[UInt8]: [UInt8]] = [:]
        /// Compactions fail, and nothing else does.
        func failing(_ stepper: EngineStepper) {
            for actor in EngineStepper.Actor.allCases {
                guard let unit = stepper.take(actor) else { continue }
                if unit.name == "compact" {
                    fileSystem.inject(SimulatedFault(.write, errno: ENOSPC, duration: .forever))
                }
                stepper.perform(unit)
                fileSystem.removeFaults()
                stepper.finish(unit)
            }
        }
        let refusal = try #require(try put(0..<5000, stepper, &model, failing))
        #expect(refusal.code == .noSpace)
        #expect(engine.metrics.stallReason == .level0 && engine.metrics.compactions == 0)
        #expect(engine.metrics.maintenanceFailures > 0)
        try check(engine, model)
        // No output of a failed compaction is left.
        let space = try engine.space()
        #expect(space.deadBytes == 0)

        rest(stepper)
        #expect(engine.metrics.compactions > 0 && engine.metrics.stallReason == nil)
        #expect(try put(5000..<5100, stepper, &model) == nil)
        try check(engine, model)
        try engine.close()
        try check(open(fileSystem), model)
    }

    // MARK: - Syncs

    @Test func aSyncThatHangsIsToldOfOnceWhileItRuns() async throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try StoreDirectory.make(path: "db", in: fileSystem)
        let hub = Broadcast<Event>()
        let events = hub.listen()
        let watch = DiskWatch(directory: directory, events: hub)
        let second = DiskWatch.slowSyncTime

        watch.syncBegan(at: 10)
        #expect(watch.look(now: second) == .max)
        for time in 1...5 { _ = watch.look(now: UInt64(time) * second + 10) }
        watch.syncEnded(after: 6 * second)
        _ = watch.look(now: 7 * second)
        watch.syncBegan(at: 8 * second)
        _ = watch.look(now: 8 * second + 5)
        watch.syncEnded(after: 5)
        hub.finish()

        var found: [Event] = []
        for await event in events { found.append(event) }
        #expect(found == [.syncHangs(nanoseconds: second), .slowSync(nanoseconds: 6 * second)])
    }

    @Test func theSyncsOfTheLogAreWatched() async throws {
        let fileSystem = SimulatedFileSystem()
        let engine = try open(fileSystem)
        let events = engine.events
        let stepper = EngineStepper(engine)
        let write = stepper.submit(try batch(1), ack: .disk)
        while stepper.outcome(of: write) == nil { stepper.work() }
        // As the sync role does, with a disk that does not answer.
        let watch = try #require(engine.pipeline).maintenance.watch
        watch.syncBegan(at: clock.monotonicNanoseconds)
        clock.advance(by: 3 * DiskWatch.slowSyncTime)
        stepper.work()
        watch.syncEnded(after: 0)
        try await engine.close()

        var hangs = 0
        for await event in events {
            if case .syncHangs(let time) = event, time >= DiskWatch.slowSyncTime { hangs += 1 }
        }
        #expect(hangs == 1)
    }

    // MARK: - Report

    @Test func theReportSaysWhoPinsWhat() throws {
        let fileSystem = SimulatedFileSystem()
        let engine = try open(fileSystem)
        let stepper = EngineStepper(engine)
        var model: [[UInt8]: [UInt8]] = [:]
        #expect(try put(0..<200, stepper, &model) == nil)
        #expect(try engine.space().unflushedLogBytes > 0)
        rest(stepper)
        var snapshot: Snapshot? = try engine.makeSnapshot()
        let sequence = engine.lastSequence
        var cursor = try #require(snapshot).cursor()
        #expect(try cursor.next())
        clock.advance(by: 5_000_000_000)
        #expect(try put(0..<300, stepper, &model) == nil)
        rest(stepper)

        let report = try engine.space()
        #expect(report.heldSequences.map(\.sequence) == [sequence])
        #expect(report.heldSequences.allSatisfy { $0.age >= .seconds(5) && $0.count == 1 })
        #expect(report.pinnedBytes > 0)
        #expect(report.staleReaders.count == 1)
        #expect(report.staleReaders.allSatisfy { $0.segmentBytes == report.pinnedBytes })
        #expect(report.staleReaders.allSatisfy { $0.age > .zero })
        #expect(report.versions >= UInt64(model.count))

        // A move takes the newest view; the snapshot alone pins no file.
        #expect(try cursor.next())
        rest(stepper)
        let later = try engine.space()
        #expect(later.pinnedBytes == 0 && later.staleReaders.isEmpty)
        #expect(later.heldSequences.count == 1)
        _ = consume cursor
        snapshot = nil
        #expect(try engine.space().heldSequences.isEmpty)
        try engine.close()
    }

    @Test func logFilesWhoseRecordsAreInSegmentsCountAsFlushed() throws {
        let directory = TemporaryDirectory()
        var options = Engine.Options()
        options.logger = .silent
        options.logFileSize = 16_384
        let engine = try Engine.open(at: directory.path + "/db", options: options)
        for number in 0..<50 { try engine.put(value(number), for: key(number), ack: .wal) }
        // The log goes on in another file once one was made.
        while engine.metrics.rotations == 0 { try engine.put(value(0), for: key(0), ack: .wal) }
        for number in 50..<100 { try engine.put(value(number), for: key(number), ack: .wal) }
        let before = try engine.space()
        #expect(before.unflushedLogBytes > 100_000)
        #expect(before.unflushedLogBytes < before.logBytes)
        try engine.flush()
        #expect(try engine.space().unflushedLogBytes == 0)
        try engine.put(value(1), for: key(1), ack: .wal)
        // A file that another one follows has what was allocated for it until it is finished.
        var after = try engine.space().unflushedLogBytes
        for _ in 0..<10_000 where after >= before.unflushedLogBytes {
            usleep(1_000)
            after = try engine.space().unflushedLogBytes
        }
        #expect(after > 0 && after < before.unflushedLogBytes, "\(after)")
        try engine.close()

        options.readOnly = true
        let again = try Engine.open(at: directory.path + "/db", options: options)
        #expect(try again.space().unflushedLogBytes > 0)
        try again.close()
    }
}
