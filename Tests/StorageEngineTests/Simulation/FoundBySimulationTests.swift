import Glibc
import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// Properties that the simulation has found broken; each was repaired at its cause.
@Suite struct FoundBySimulationTests {
    private let fileSystem = SimulatedFileSystem()
    private let clock = SimulatedClock()

    private func open(_ fileSystem: SimulatedFileSystem) throws(EngineError) -> Engine {
        try openSimulated(fileSystem, clock: clock) { options in
            options.writeBufferSize = 16_384
            options.cacheSize = 0
            options.compaction.level0Count = 2
            options.compaction.levelBaseSize = 12_000
            options.compaction.segmentSize = 6_000
        }
    }

    private func write(_ stepper: EngineStepper, _ numbers: Range<Int>) throws {
        for number in numbers {
            let value = "\(number) " + String(repeating: "x", count: 400)
            var batch = WriteBatch()
            try batch.put(value, for: "key\(number % 40)")
            let write = stepper.submit(batch, ack: .disk)
            // Writers are slowed down when flushes do not come through; time passes then.
            for _ in 0..<1000 where stepper.outcome(of: write) == nil {
                stepper.work()
                clock.advance(by: 1_000_000)
            }
            clock.advance(by: 10_000_000)
        }
    }

    /// A value that does not compress, so that log files fill.
    private func noise(_ seed: Int) -> [UInt8] {
        var generator = SeededGenerator(seed: UInt64(seed))
        return (0..<3000).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }

    /// The kernel may show an edit of the manifest that is not on disk, and never will be. What it
    /// replaces must not go because of it.
    @Test func nothingIsRemovedForAnEditWhoseSyncFailed() throws {
        var found = 0
        for occurrence in 1...12 {
            let fileSystem = SimulatedFileSystem()
            var engine: Engine? = try open(fileSystem)
            fileSystem.inject(
                SimulatedFault(.dataSync, errno: EIO, occurrence: occurrence, duration: .forever) {
                    $0.hasSuffix(".manifest")
                }
            )
            if let engine { try write(EngineStepper(engine), 0..<200) }
            let acknowledged = try contents(#require(engine))
            engine = nil
            found += fileSystem.injectedFaultCount > 0 ? 1 : 0
            fileSystem.removeFaults()

            // The same boot: what was not synced is still seen.
            engine = try open(fileSystem)
            let stepper = EngineStepper(try #require(engine))
            for _ in 0..<10 { stepper.work() }
            engine = nil

            let after = try open(fileSystem.crashed(.none))
            #expect(try contents(after) == acknowledged, "the manifest's sync \(occurrence)")
        }
        #expect(found > 3)
    }

    /// A log file of the right name that nobody could remove is no reason to refuse writes for
    /// ever.
    @Test func aLogFileThatCouldNotBeMadeIsMadeTheNextTime() throws {
        let engine = try openSimulated(fileSystem)
        let stepper = EngineStepper(engine)
        var fault = SimulatedFault(.create, errno: EIO) { $0.hasSuffix(".log") }
        fault.takesEffect = true
        fileSystem.inject(fault)

        #expect(try stepper.put("1", for: "a", ack: .disk).code == .io)
        #expect(fileSystem.size(ofFile: "db/0000000001.log", .cached) == 0)
        #expect(try stepper.put("2", for: "b", ack: .disk).code == nil)

        #expect(try contents(openSimulated(fileSystem.crashed(.none))) == ["b": "2"])
    }

    /// While the log's files change nobody makes the file again that is on its way to be used.
    @Test func theNextLogFileIsNotMadeWhileItIsTakenIntoUse() throws {
        let engine = try openSimulated(fileSystem)
        let stepper = EngineStepper(engine)
        var rotation: EngineStepper.Unit?
        for number in 0..<20 where rotation == nil {
            var batch = WriteBatch()
            try batch.put(noise(number), for: "key\(number)")
            let write = stepper.submit(batch, ack: .disk)
            for _ in 0..<6 where stepper.outcome(of: write) == nil {
                for actor in [EngineStepper.Actor.writer, .syncer, .logThread] {
                    guard let unit = stepper.take(actor) else { continue }
                    if unit.name == "rotate" {
                        rotation = unit
                        break
                    }
                    stepper.perform(unit)
                    stepper.finish(unit)
                }
                if rotation != nil { break }
            }
        }
        let unit = try #require(rotation)

        #expect(stepper.take(.logThread)?.name != "makeAhead")
        stepper.perform(unit)
        #expect(stepper.take(.logThread)?.name != "makeAhead")
        stepper.finish(unit)
    }

    /// A torn write of a header may leave what the block held before: another file's header.
    @Test func aStaleHeaderInAFileMadeAheadIsNoCorruption() throws {
        do {
            let engine = try openSimulated(fileSystem)
            let stepper = EngineStepper(engine)
            #expect(try stepper.put("1", for: "a", ack: .disk).code == nil)
            for _ in 0..<3 { stepper.work() }
        }
        let image = fileSystem.crashed(.all)
        let directory = try StoreDirectory.open(path: "db", in: image)
        let header = try directory.open(.log(1), for: .read).read(
            count: LogFormat.headerSize,
            at: 0
        )
        try directory.open(.log(2), for: .readWrite).writeFully(header, at: 0)

        #expect(try contents(openSimulated(image.crashed(.all))) == ["a": "1"])

        // With a record behind it, it is another file.
        let size = UInt64(LogFormat.headerSize)
        try directory.open(.log(2), for: .readWrite).writeFully([1], at: size)
        #expect(code { _ = try openSimulated(image.crashed(.all)) } == .corruption)
    }

    /// When the last file has no record it goes, and with it the word on where the one before ends.
    @Test func anOpeningLeavesNothingToRepair() throws {
        try writeUntilRotation()
        var history = fileSystem.history()
        var emptied = 0
        while history.position < history.end {
            let image = history.crashed(.all)
            history.advance(to: history.position + 1)
            guard image.names(inDirectory: "db", .cached)?.contains("STORE") == true else {
                continue
            }
            let first = try openSimulated(image).recovery
            let again = try openSimulated(image).recovery
            #expect(again.tornBytes == 0 && again.rewrittenRecords == 0)
            emptied += first.files > again.files ? 1 : 0
        }
        #expect(emptied > 0)
    }

    private func writeUntilRotation() throws {
        let engine = try openSimulated(fileSystem)
        let stepper = EngineStepper(engine)
        for number in 0..<8 {
            var batch = WriteBatch()
            try batch.put(noise(number), for: "key\(number)")
            let write = stepper.submit(batch, ack: .disk)
            #expect(try stepper.complete(write).code == nil)
            for _ in 0..<3 { stepper.work() }
        }
        #expect(engine.metrics.rotations > 0)
    }

    /// Where nothing can be reserved the header of the first file may find the disk full.
    @Test func noRoomForAHeaderRefusesAWriteCleanly() throws {
        let engine = try openSimulated(fileSystem)
        let stepper = EngineStepper(engine)
        fileSystem.inject(SimulatedFault(.allocate, errno: EOPNOTSUPP, duration: .forever))
        fileSystem.inject(SimulatedFault(.write, errno: nil, bytesDone: 100))
        fileSystem.inject(SimulatedFault(.write, errno: ENOSPC, occurrence: 2))

        #expect(try stepper.put("1", for: "a", ack: .wal).code == .noSpace)
        #expect(engine.metrics.poison == nil)
        #expect(try stepper.put("2", for: "b", ack: .disk).code == nil)

        #expect(try contents(openSimulated(fileSystem.crashed(.none))) == ["b": "2"])
    }

    /// A new store has no log file until its first append.
    @Test func aRecordInNoFileYetIsWaitedFor() throws {
        let engine = try openSimulated(fileSystem)
        let stepper = EngineStepper(engine)
        var batch = WriteBatch()
        try batch.put("1", for: "a")
        let write = stepper.submit(batch, ack: .memory)
        while stepper.outcome(of: write) == nil {
            let unit = try #require(stepper.take(.writer))
            stepper.perform(unit)
            stepper.finish(unit)
        }
        #expect(stepper.feedLimit(.memory) == 1 && stepper.feedLimit(.wal) == 0)

        var cursor = try engine.changeCursor(upTo: .memory)
        #expect(try !cursor.next())
        var batchOfLog = WriteBatch()
        try batchOfLog.put("2", for: "b")
        #expect(try stepper.complete(stepper.submit(batchOfLog, ack: .wal)).code == nil)
        #expect(try cursor.next() && cursor.record.position.sequence == 1)
        #expect(try cursor.next() && cursor.record.position.sequence == 2)
    }
}
