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
