import ReplicationTestSupport
import Testing

@Suite struct ReplicationSimulationTests {
    @Test(arguments: UInt64(100_000)..<100_006)
    func everyPromiseIsKept(_ seed: UInt64) throws {
        let run = try ReplicationRun(seed: seed, operations: 500)
        try run.run()

        #expect(run.counts[.operations] >= 500 && run.counts[.faults] >= 10, "seed \(seed)")
        #expect(run.counts[.acked] > 0, "seed \(seed)")
    }

    @Test func aSeedRunsTheSameTwice() throws {
        let runs = try (0..<2).map { _ in
            let run = try ReplicationRun(seed: 7, operations: 200)
            try run.run()
            return run
        }

        #expect(runs[0].traceHash == runs[1].traceHash)
        #expect(runs[0].traceHash != 0)
    }
}

@Suite struct LinearizabilityTests {
    typealias Call = Linearizability.Call

    private func write(_ value: Int, _ start: UInt64, _ end: UInt64?) -> Call {
        Call(written: value, read: value, start: start, end: end)
    }

    private func read(_ value: Int, _ start: UInt64, _ end: UInt64?) -> Call {
        Call(written: nil, read: value, start: start, end: end)
    }

    @Test func whatHappensInOrderHolds() {
        #expect(
            Linearizability.holds([write(1, 0, 1), read(1, 2, 3), write(2, 4, 5), read(2, 6, 7)])
        )
        #expect(Linearizability.holds([read(-1, 0, 1), write(1, 2, 3)]))
    }

    @Test func callsThatOverlapMayHappenInAnyOrder() {
        let writes = [write(1, 0, 10), write(2, 0, 10)]
        #expect(Linearizability.holds(writes + [read(1, 11, 12)]))
        #expect(Linearizability.holds(writes + [read(2, 11, 12)]))
        #expect(Linearizability.holds([write(1, 0, 10), read(-1, 1, 2), read(1, 3, 4)]))
    }

    @Test func aStaleReadDoesNotHold() {
        #expect(!Linearizability.holds([write(1, 0, 1), read(-1, 2, 3)]))
        #expect(!Linearizability.holds([write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)]))
        #expect(!Linearizability.holds([write(1, 0, 10), read(1, 1, 2), read(-1, 3, 4)]))
    }

    @Test func aLostWriteDoesNotHold() {
        let seen = [write(1, 0, 1), write(2, 2, 3), read(2, 4, 5)]
        #expect(!Linearizability.holds(seen + [read(1, 6, 7)]))
    }

    @Test func aWriteThatNobodyKnowsOfMayHappenLateOrNever() {
        let calls = [write(1, 0, 1), write(2, 2, nil)]
        #expect(Linearizability.holds(calls + [read(1, 5, 6)]))
        #expect(Linearizability.holds(calls + [read(1, 5, 6), read(2, 7, 8)]))
        #expect(!Linearizability.holds(calls + [read(2, 5, 6), read(1, 7, 8)]))
    }

    @Test func aReadWithoutAnAnswerSaysNothing() {
        #expect(Linearizability.holds([write(1, 0, 1), read(-1, 2, nil)]))
    }
}
