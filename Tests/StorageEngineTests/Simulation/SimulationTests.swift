import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// A few seeds of what `enginesim` runs by the thousand.
@Suite struct SimulationTests {
    private func run(_ seed: UInt64, operations: Int, samples: Int?) throws -> SimulatedRun {
        var plan = SimulatedRun.Plan()
        plan.operations = operations
        plan.samples = samples
        let run = try SimulatedRun(seed: seed, plan)
        try run.run()
        return run
    }

    @Test(arguments: UInt64(0)..<8)
    func everyPromiseHolds(seed: UInt64) throws {
        let tally = try run(seed, operations: 120, samples: 2).tally

        #expect(tally["totals", "writes"] >= 120)
        #expect(tally["totals", "positions"] > 40)
        #expect(tally["totals", "recoveries"] >= 8)
    }

    @Test func everyPositionOfAShortRunMayBeACrash() throws {
        let tally = try run(3, operations: 20, samples: nil).tally

        let images = tally.counts["images"]?.values.reduce(0, +) ?? 0
        #expect(images >= tally["totals", "positions"])
    }

    @Test func aSeedRepeatsItsTrace() throws {
        let first = try run(5, operations: 80, samples: 1)
        let again = try run(5, operations: 80, samples: 1)
        let other = try run(6, operations: 80, samples: 1)

        #expect(first.traceHash == again.traceHash && first.tally == again.tally)
        #expect(first.traceHash != other.traceHash)
    }

    /// What is looked at changes nothing of what is done.
    @Test func moreChecksDoNotChangeTheWorkload() throws {
        let few = try run(5, operations: 80, samples: 1).tally
        let more = try run(5, operations: 80, samples: 4).tally

        for name in ["writes", "acknowledged writes", "crashes"] {
            #expect(few["totals", name] == more["totals", name])
        }
        #expect(few.counts["units of work"] == more.counts["units of work"])
    }

    /// `enginesim --errors` fails every call; here it is one of a few dozen.
    @Test func everyFaultIsToldOrHasAReasonNotToBe() throws {
        let sweep = try ErrorSweep(seed: 11, operations: 30)
        var tally = Tally()
        for fault in sweep.cases(stride: 11) { tally += try fault.run() }

        #expect(tally["faults", "surfaced"] > 10)
        #expect(tally["faults", "tolerated: done again"] > 10)
    }

    // MARK: - The simulation itself

    @Test func theModelForgetsAFailedWriteOnceALaterOneIsThere() {
        var model = ModelStore()
        model.add([.put(key: [0], value: [1])], at: 1)
        model.addWithdrawn([(sequence: 2, changes: [.put(key: [1], value: [2])])])
        model.add([.delete(key: [0])], at: 3)

        func keys(at sequence: UInt64) -> [[UInt8]] { model.state(at: sequence).map(\.key) }
        #expect([1, 2, 3].map(keys) == [[[0]], [[0], [1]], []])
        model.cut(to: 2)
        #expect(keys(at: 9) == [[0], [1]])
    }

    @Test func aValueInTheWrongPlaceIsSeen() throws {
        var value = [UInt8](repeating: 5, count: 40)
        ValueStamp.stamp(&value, write: 7, key: [1])
        var torn = value
        torn[30] ^= 1

        try ValueStamp.check(value.span, key: [UInt8(1)].span, "it")
        #expect(throws: SimulationFailure.self) {
            try ValueStamp.check(value.span, key: [UInt8(2)].span, "it")
        }
        #expect(throws: SimulationFailure.self) {
            try ValueStamp.check(torn.span, key: [UInt8(1)].span, "it")
        }
    }
}
