import StorageEngineTestSupport
import Testing

@testable import StorageEngine

@Suite struct SealWakeTests {
    /// The log thread seals for a flush that was asked for. While two indexes wait already it
    /// cannot, and sleeps: the end of a flush must wake it, although writers are neither slowed
    /// nor held.
    @Test func aFlushWakesWhoWaitsForRoomToSeal() throws {
        let engine = try openSimulated(SimulatedFileSystem()) { $0.writeBufferSize = 16_384 }
        let pipeline = try #require(engine.pipeline)
        let stepper = EngineStepper(engine)
        func work(_ actors: [EngineStepper.Actor]) {
            for actor in actors {
                guard let unit = stepper.take(actor) else { continue }
                stepper.perform(unit)
                stepper.finish(unit)
            }
        }
        var number = 0
        func put(_ size: Int) throws {
            number += 1
            var batch = WriteBatch()
            try batch.put(String(repeating: "x", count: size), for: "\(number)")
            let write = stepper.submit(batch, ack: .disk)
            for _ in 0..<100 where stepper.outcome(of: write) == nil {
                work([.writer, .syncer, .logThread])
            }
        }
        while pipeline.maintenance.canSeal { try put(2000) }
        try put(1)
        #expect(pipeline.state.backpressure == Backpressure())
        // As when the log thread sleeps, with a flush that waits for it.
        pipeline.lock.with {
            pipeline.state.isSealWanted = true
            pipeline.state.logThreadDeadline = .max
        }

        for _ in 0..<4 where !pipeline.maintenance.canSeal { work([.flusher]) }

        #expect(pipeline.maintenance.canSeal)
        #expect(pipeline.state.logThreadDeadline == 0)
        #expect(stepper.take(.logThread)?.name == "seal")
    }
}
