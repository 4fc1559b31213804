import Glibc
import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// What failing system calls do to writes, to the engine and to what is there after a restart.
@Suite struct FaultTests {
    @Test func aFullDiskRefusesWritesCleanlyAndPasses() throws {
        let fileSystem = SimulatedFileSystem()
        let clock = SimulatedClock()
        let engine = try openSimulated(fileSystem, clock: clock)
        let stepper = EngineStepper(engine)
        #expect(try stepper.put("1", for: "before", ack: .wal).code == nil)
        #expect(try stepper.put("2", for: "buffered", ack: .memory).code == nil)

        // A short write first, then the error, as kernels do it.
        fileSystem.inject(SimulatedFault(.write, errno: nil, bytesDone: 7))
        fileSystem.inject(
            SimulatedFault(.write, errno: ENOSPC, occurrence: 2, duration: .forever)
        )
        let refused = try stepper.put("3", for: "refused", ack: .wal)
        let later = try stepper.put("4", for: "later", ack: .memory)

        #expect(refused.code == .noSpace)
        #expect(later.code == nil)
        #expect(try engine.value(for: "refused") == nil)
        #expect(try contents(engine) == ["before": "1", "buffered": "2", "later": "4"])

        fileSystem.removeFaults()
        clock.advance(by: 1_000_000_000)
        #expect(try stepper.put("5", for: "after", ack: .disk).code == nil)
        let expected = ["before": "1", "buffered": "2", "later": "4", "after": "5"]
        let reopened = try openSimulated(fileSystem.crashed(.none))
        #expect(try contents(reopened) == expected)
    }

    @Test func aFailedAppendIsIndeterminateAndNothingIsAppendedBehindIt() throws {
        let fileSystem = SimulatedFileSystem()
        let engine = try openSimulated(fileSystem)
        let stepper = EngineStepper(engine)
        #expect(try stepper.put("1", for: "a", ack: .wal).code == nil)

        fileSystem.inject(SimulatedFault(.write, errno: nil, bytesDone: 11))
        fileSystem.inject(SimulatedFault(.write, errno: EIO, occurrence: 2))
        let failed = try stepper.put("2", for: "b", ack: .wal)
        let next = stepper.submit(try batch("c", "3"), ack: .disk)
        let outcome = try stepper.complete(next)

        #expect(failed.code == .indeterminate)
        #expect(outcome.code == nil)
        // Sequence 2 may be on disk somewhere: it is never given again.
        #expect(next.sequence == 3)
        let reopened = try openSimulated(fileSystem.crashed(.none))
        #expect(try contents(reopened) == ["a": "1", "c": "3"])
    }

    @Test func aFailedSyncPoisonsTheEngineAndIsNeverTriedAgain() throws {
        let fileSystem = SimulatedFileSystem()
        let engine = try openSimulated(fileSystem)
        let stepper = EngineStepper(engine)
        #expect(try stepper.put("1", for: "a", ack: .disk).code == nil)

        fileSystem.inject(SimulatedFault(.dataSync, errno: EIO))
        let failed = try stepper.put("2", for: "b", ack: .disk)
        let syncs = syncCount(fileSystem)

        #expect(failed.code == .indeterminate)
        #expect(code { try engine.put("3", for: "c", ack: .memory) } == .poisoned)
        #expect(code { try engine.sync() } != nil)
        #expect(try engine.value(for: "a") == Array("1".utf8))
        #expect(engine.metrics.poison?.code == .poisoned)
        #expect(code { try engine.close() } == .poisoned)
        #expect(syncCount(fileSystem) == syncs)
        let reopened = try openSimulated(fileSystem.crashed(.none))
        #expect(try contents(reopened)["a"] == "1")
    }

    /// After a failed sync the kernel may go on showing what is not on disk and never will be.
    @Test func whatAFailedSyncLeftIsWrittenAgain() throws {
        let fileSystem = SimulatedFileSystem()
        do {
            let engine = try openSimulated(fileSystem)
            defer { withExtendedLifetime(engine) {} }
            let stepper = EngineStepper(engine)
            #expect(try stepper.put("1", for: "a", ack: .disk).code == nil)
            fileSystem.inject(SimulatedFault(.dataSync, errno: EIO))
            #expect(try stepper.put("2", for: "b", ack: .disk).code == .indeterminate)
        }
        #expect(try contents(openSimulated(fileSystem.crashed(.none))) == ["a": "1"])

        let reopened = try openSimulated(fileSystem)
        #expect(reopened.recovery.rewrittenRecords == 1)
        #expect(try contents(reopened) == ["a": "1", "b": "2"])

        // What was shown once is there for good.
        #expect(
            try contents(openSimulated(fileSystem.crashed(.none))) == ["a": "1", "b": "2"]
        )
    }

    @Test func aTailThatCannotBeCutBackPoisonsTheEngine() throws {
        let fileSystem = SimulatedFileSystem()
        let engine = try openSimulated(fileSystem)
        let stepper = EngineStepper(engine)
        #expect(try stepper.put("1", for: "a", ack: .disk).code == nil)

        fileSystem.inject(SimulatedFault(.write, errno: EIO))
        fileSystem.inject(SimulatedFault(.truncate, errno: EIO))
        let failed = try stepper.put("2", for: "b", ack: .wal)

        #expect(failed.code == .indeterminate)
        #expect(engine.metrics.poison != nil)
        let reopened = try openSimulated(fileSystem.crashed(.all))
        #expect(try contents(reopened) == ["a": "1"])
    }

    /// Fails each call once, then from there on, through open, writes, rotations and close.
    @Test(arguments: [false, true])
    func everyCallMayFailAndNothingAcknowledgedIsLost(isPersistent: Bool) throws {
        var refusals = 0
        for call in 1..<260 {
            let fileSystem = SimulatedFileSystem()
            fileSystem.inject(
                SimulatedFault(
                    nil,
                    errno: EIO,
                    occurrence: call,
                    duration: isPersistent ? .forever : .once
                )
            )
            let acknowledged = try run(on: fileSystem)
            refusals += acknowledged.isFailed ? 1 : 0
            fileSystem.removeFaults()

            let image = fileSystem.crashed(.none)
            let reopened = try openSimulated(image)

            let found = try contents(reopened)
            for key in acknowledged.keys {
                #expect(found[key] != nil, "call \(call): \(key) is lost")
            }
        }
        #expect(refusals > 10)
    }

    private func run(
        on fileSystem: SimulatedFileSystem
    ) throws -> (keys: [String], isFailed: Bool) {
        var keys: [String] = []
        var isFailed = false
        do throws(EngineError) {
            let engine = try openSimulated(fileSystem)
            let stepper = EngineStepper(engine)
            for number in 0..<12 {
                let key = "key\(number)"
                let value = String(repeating: "v", count: 3000)
                let ack: AckPoint = number % 3 == 2 ? .memory : .disk
                if outcome(stepper, value, key, ack) == nil {
                    if ack == .disk { keys.append(key) }
                } else {
                    isFailed = true
                }
                for _ in 0..<3 { stepper.work() }
            }
            try engine.close()
        } catch {
            isFailed = true
        }
        return (keys, isFailed)
    }

    /// A poisoned engine settles a write by refusing it.
    private func outcome(
        _ stepper: EngineStepper,
        _ value: String,
        _ key: String,
        _ ack: AckPoint
    ) -> EngineError.Code? {
        do {
            return try stepper.put(value, for: key, ack: ack).code
        } catch {
            return .poisoned
        }
    }

    private func batch(_ key: String, _ value: String) throws -> WriteBatch {
        var batch = WriteBatch()
        try batch.put(value, for: key)
        return batch
    }

    private func syncCount(_ fileSystem: SimulatedFileSystem) -> Int {
        fileSystem.trace.count {
            switch $0 {
            case .sync, .failedSync: true
            default: false
            }
        }
    }
}
