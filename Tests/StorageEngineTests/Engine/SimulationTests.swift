import StorageEngineTestSupport
import Testing

/// A few seeds of what `enginesim` runs by the hundred.
@Suite struct SimulationTests {
    @Test(arguments: UInt64(0)..<12)
    func everyPromiseHolds(seed: UInt64) throws {
        let run = try SimulatedRun(seed: seed)

        try run.run(operations: 120)

        #expect(run.counts.positions > 0 && run.counts.images > 0)
    }
}
