import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// What the log thread does on its own, and when.
@Suite struct LogThreadTests {
    private let fileSystem = SimulatedFileSystem()
    private let clock = SimulatedClock()

    @Test func memoryWritesReachTheLogAfterTheirDelay() throws {
        let engine = try openSimulated(fileSystem, clock: clock)
        let stepper = EngineStepper(engine)
        #expect(try stepper.put("1", for: "a", ack: .memory).code == nil)
        #expect(engine.metrics.walSequence == 0 && engine.metrics.bufferedBytes > 0)

        clock.advance(by: 10_000_000)
        stepper.work()

        #expect(engine.metrics.walSequence == 1 && engine.metrics.bufferedBytes == 0)
    }

    @Test func appendedWritesAreSyncedAfterTheInterval() throws {
        let engine = try openSimulated(fileSystem, clock: clock)
        let stepper = EngineStepper(engine)
        #expect(try stepper.put("1", for: "a", ack: .wal).code == nil)
        clock.advance(by: 900_000_000)
        for _ in 0..<5 { stepper.work() }
        #expect(engine.metrics.diskSequence == 0)

        clock.advance(by: 100_000_000)
        for _ in 0..<5 { stepper.work() }

        #expect(engine.metrics.diskSequence == 1)
    }

    @Test func aMarkerProvesTheLastRecordOfAnIdleLog() throws {
        let engine = try openSimulated(fileSystem, clock: clock)
        let stepper = EngineStepper(engine)
        #expect(try stepper.put("1", for: "a", ack: .disk).code == nil)
        clock.advance(by: 50_000_000)
        for _ in 0..<5 { stepper.work() }

        // Nothing is left to be written again: the marker has proven it.
        let reopened = try openSimulated(fileSystem.crashed(.all))

        #expect(reopened.lastSequence == 1 && reopened.recovery.rewrittenRecords == 0)
    }

    @Test func aMarkerIsFollowedByNoSyncAndNoOtherMarker() throws {
        let engine = try openSimulated(fileSystem, clock: clock)
        let stepper = EngineStepper(engine)
        #expect(try stepper.put("1", for: "a", ack: .disk).code == nil)
        clock.advance(by: 50_000_000)
        for _ in 0..<5 { stepper.work() }
        let end = fileSystem.traceEnd

        clock.advance(by: 10_000_000_000)
        for _ in 0..<5 { stepper.work() }

        #expect(fileSystem.traceEnd == end)
    }

    @Test func aLongLogFileIsFollowedByAnother() throws {
        let engine = try openSimulated(fileSystem, clock: clock)
        let stepper = EngineStepper(engine)
        var noise = SeededGenerator(seed: 3)

        for number in 0..<40 {
            let value = (0..<60).map { _ in String(noise.next(), radix: 36) }.joined()
            #expect(try stepper.put(value, for: "\(number)", ack: .disk).code == nil)
            for _ in 0..<3 { stepper.work() }
        }
        let rotations = engine.metrics.rotations
        try engine.close()

        #expect(rotations > 0)
        let names = fileSystem.names(inDirectory: "db", .durable) ?? []
        // Those that were finished, and the current one; the one made ahead is gone.
        #expect(names.count { $0.hasSuffix(".log") } == Int(rotations) + 1)
        let reopened = try openSimulated(fileSystem.crashed(.none))
        #expect(try contents(reopened).count == 40)
    }
}
