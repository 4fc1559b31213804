import Glibc
import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// How writes are grouped.
@Suite struct GroupTests {
    @Test func aGroupEndsBeforeAWriteThatDoesNotFit() throws {
        let fileSystem = SimulatedFileSystem()
        let engine = try openSimulated(fileSystem)
        let stepper = EngineStepper(engine)
        let first = stepper.submit(try batch("a", size: 10), ack: .memory)
        let large = stepper.submit(try batch("b", size: 3 << 20), ack: .wal)
        let last = stepper.submit(try batch("c", size: 10), ack: .memory)

        let unit = try #require(stepper.take(.writer))
        stepper.perform(unit)
        stepper.finish(unit)

        #expect(unit.name == "commit")
        #expect(first.sequence == 1 && large.sequence == nil && last.sequence == nil)
        for write in [first, large, last] { #expect(try stepper.complete(write).code == nil) }
        let reopened = try openSimulated(fileSystem.crashed(.all))
        #expect(reopened.lastSequence >= 2)
    }

    @Test func theMemoryWindowIsNeverExceeded() throws {
        let fileSystem = SimulatedFileSystem()
        let engine = try openSimulated(fileSystem) { $0.memoryWindow = 4096 }
        let stepper = EngineStepper(engine)

        for number in 0..<50 {
            let write = stepper.submit(try batch("\(number)", size: 700), ack: .memory)
            #expect(try stepper.complete(write).code == nil)
            #expect(engine.metrics.bufferedBytes <= 4096)
        }
    }

    @Test func writesThatWereGatheredAreOneFrame() async throws {
        let fileSystem = SimulatedFileSystem()
        let engine = try openSimulated(fileSystem)
        let writes = try (1...10).map { number in
            GatheredWrite(try batch("\(number)", size: 10), ack: .wal, since: 0)
        }
        let before = engine.metrics.frames
        try await engine.commit(writes)

        #expect(try writes.map { try $0.position.sequence } == Array(1...10))
        #expect(try writes.last?.position == engine.history().end)
        #expect(engine.metrics.frames == before + 1)
        let reopened = try openSimulated(fileSystem.crashed(.all))
        #expect(try contents(reopened).count == 10)
    }

    @Test func aGatheredWriteThatIsRefusedDoesNotHinderTheOthers() async throws {
        let engine = try openSimulated(SimulatedFileSystem()) { $0.sequences = .client }
        let writes = try [UInt64(5), 3, 7, 7, 9].map { sequence -> GatheredWrite in
            let batch = try batch("\(sequence)", size: 10)
            return GatheredWrite(batch, sequence: sequence, ack: .memory, since: 0)
        }
        try await engine.commit(writes)

        let reached = writes.map { write in
            do throws(EngineError) { return try write.position.sequence } catch {
                #expect(error.code == .invalidArgument)
                return UInt64(0)
            }
        }
        #expect(reached == [5, 0, 7, 0, 9])
        #expect(engine.lastSequence == 9)
    }

    @Test func gatheredWritesFailTogetherWithTheLog() async throws {
        let fileSystem = SimulatedFileSystem()
        let engine = try openSimulated(fileSystem)
        fileSystem.inject(
            SimulatedFault(.write, errno: EIO, duration: .forever) { $0.hasSuffix(".log") }
        )
        for _ in 0..<2 {
            let writes = try (0..<3).map { number in
                GatheredWrite(try batch("\(number)", size: 10), ack: .wal, since: 0)
            }
            try await engine.commit(writes)
            for write in writes { #expect(code { _ = try write.position } != nil) }
        }
        #expect(try contents(engine).isEmpty)
    }

    /// What needs no append goes on, behind those that failed.
    @Test func gatheredWritesThatNeedNoAppendDoNotFailWithIt() async throws {
        let fileSystem = SimulatedFileSystem()
        let engine = try openSimulated(fileSystem)
        _ = try EngineStepper(engine).put("0", for: "first", ack: .wal)
        fileSystem.inject(SimulatedFault(.write, errno: ENOSPC) { $0.hasSuffix(".log") })
        let writes = try [AckPoint.memory, .wal, .memory].enumerated().map { number, ack in
            GatheredWrite(try batch("\(number)", size: 10), ack: ack, since: 0)
        }
        try await engine.commit(writes)

        #expect(code { _ = try writes[1].position } == .noSpace)
        #expect(try writes[0].position.sequence < writes[2].position.sequence)
        #expect(try contents(engine).keys.sorted() == ["0", "2", "first"])
    }

    /// Nobody waits for an engine that was dropped.
    @Test func gatheredWritesEndWithTheEngine() async throws {
        let engine = try openSimulated(SimulatedFileSystem())
        let stepper = EngineStepper(engine)
        _ = stepper.submit(try batch("other", size: 10), ack: .wal)
        let unit = try #require(stepper.take(.writer))
        let write = GatheredWrite(try batch("a", size: 10), ack: .wal, since: 0)
        let committing = Task { try await engine.commit([write]) }
        while !stepper.isLeftToLogThread { await Task.yield() }
        engine.abandon()
        try await committing.value
        #expect(code { _ = try write.position } == .closed)
        stepper.perform(unit)
        stepper.finish(unit)
    }

    @Test func aClosedEngineTakesNoGatheredWrites() async throws {
        let engine = try openSimulated(SimulatedFileSystem())
        try await engine.close()
        let write = GatheredWrite(try batch("a", size: 10), ack: .wal, since: 0)
        let error = await #expect(throws: EngineError.self) { try await engine.commit([write]) }
        #expect(error?.code == .closed)
    }

    /// Somebody else commits: the log thread does it afterwards.
    @Test func gatheredWritesWaitForWhoeverCommits() async throws {
        let engine = try openSimulated(SimulatedFileSystem())
        let stepper = EngineStepper(engine)
        let other = stepper.submit(try batch("other", size: 10), ack: .wal)
        let unit = try #require(stepper.take(.writer))
        let writes = try (0..<3).map { number in
            GatheredWrite(try batch("\(number)", size: 10), ack: .wal, since: 0)
        }
        let committing = Task { try await engine.commit(writes) }
        while !stepper.isLeftToLogThread { await Task.yield() }
        stepper.perform(unit)
        stepper.finish(unit)
        while stepper.isLeftToLogThread {
            let unit = try #require(stepper.take(.logThread))
            stepper.perform(unit)
            stepper.finish(unit)
        }
        try await committing.value

        #expect(other.sequence == 1)
        #expect(try writes.map { try $0.position.sequence } == [2, 3, 4])
        #expect(engine.metrics.frames == 2)
    }

    /// A put of bytes that do not compress.
    private func batch(_ key: String, size: Int) throws -> WriteBatch {
        var generator = SeededGenerator(seed: 1)
        var batch = WriteBatch()
        try batch.put(
            (0..<size).map { _ in UInt8(truncatingIfNeeded: generator.next()) },
            for: key
        )
        return batch
    }
}

extension EngineStepper {
    /// Whether a write waits that only the log thread commits.
    fileprivate var isLeftToLogThread: Bool {
        pipeline.lock.with { pipeline.state.queue.contains(where: \.isSuspended) }
    }
}
