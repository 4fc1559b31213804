import Glibc
import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// What failing calls do to flushes, compactions and the manifest.
@Suite struct TreeFaultTests {
    private func open(
        _ fileSystem: SimulatedFileSystem,
        _ clock: SimulatedClock = SimulatedClock()
    ) throws(EngineError) -> Engine {
        try openSimulated(fileSystem, clock: clock) { options in
            options.writeBufferSize = 16_384
            options.cacheSize = 0
            options.compaction.level0Count = 2
            options.compaction.levelBaseSize = 12_000
            options.compaction.levelMultiplier = 2
            options.compaction.segmentSize = 6_000
        }
    }

    /// Writes until there were flushes and compactions; keys that were acknowledged at `.disk`.
    private func run(
        on fileSystem: SimulatedFileSystem,
        rounds: Int = 140
    ) throws -> (acknowledged: [String: String], metrics: Engine.Metrics?) {
        let clock = SimulatedClock()
        var acknowledged: [String: String] = [:]
        let engine: Engine
        do throws(EngineError) { engine = try open(fileSystem, clock) } catch { return ([:], nil) }
        let stepper = EngineStepper(engine)
        for round in 0..<rounds {
            let key = "key\(round * 7 % 60)"
            let value = "\(round) " + String(repeating: "x", count: 400)
            if round % 50 == 49 {
                var batch = WriteBatch()
                try batch.deleteRange(KeyRange(from: Array("key2".utf8), to: Array("key3".utf8)))
                let write = stepper.submit(batch, ack: .disk)
                // What was not refused may have happened.
                acknowledged = acknowledged.filter { !$0.key.hasPrefix("key2") }
                guard settle(write, stepper, clock) else { break }
            } else {
                var batch = WriteBatch()
                try batch.put(value, for: key)
                acknowledged[key] = nil
                guard settle(stepper.submit(batch, ack: .disk), stepper, clock) else { break }
                acknowledged[key] = value
            }
        }
        for _ in 0..<50 {
            stepper.work()
            clock.advance(by: 60_000_000)
        }
        let metrics = engine.metrics
        do throws(EngineError) { try engine.close() } catch {}
        return (acknowledged, metrics)
    }

    /// Works until a write is settled; `false` when it failed.
    private func settle(
        _ write: EngineStepper.Write,
        _ stepper: EngineStepper,
        _ clock: SimulatedClock
    ) -> Bool {
        for _ in 0..<200 {
            switch stepper.outcome(of: write) {
            case .acknowledged: return true
            case .failed: return false
            case nil:
                stepper.work()
                clock.advance(by: 10_000_000)
            }
        }
        return false
    }

    @Test func theWorkloadFlushesAndCompacts() throws {
        let metrics = try #require(try run(on: SimulatedFileSystem()).metrics)
        #expect(metrics.flushes > 2 && metrics.compactions > 1)
        #expect(metrics.maintenanceFailures == 0)
    }

    @Test(arguments: [false, true], [EIO, ENOSPC])
    func everyCallMayFailAndNothingAcknowledgedIsLost(
        isPersistent: Bool,
        errno: Int32
    ) throws {
        let plain = SimulatedFileSystem()
        _ = try run(on: plain)
        var failures: UInt64 = 0
        // Reads are calls too; every fourth is enough for the time it takes.
        for call in stride(from: 1, to: 3 * plain.traceEnd / 2, by: 4) {
            let fileSystem = SimulatedFileSystem()
            fileSystem.inject(
                SimulatedFault(
                    nil,
                    errno: errno,
                    occurrence: call,
                    duration: isPersistent ? .forever : .once
                )
            )
            let (acknowledged, metrics) = try run(on: fileSystem)
            failures += metrics?.maintenanceFailures ?? 0
            fileSystem.removeFaults()

            for policy in [CrashPolicy.none, .all] {
                let reopened = try open(fileSystem.crashed(policy))
                let found = try contents(reopened)
                for (key, value) in acknowledged {
                    #expect(found[key] == value, "call \(call), errno \(errno): \(key)")
                }
                _ = try reopened.verify()
            }
        }
        #expect(failures > 0)
    }

    @Test func aFullDiskIsSurvivedWithoutARestart() throws {
        let fileSystem = SimulatedFileSystem()
        let clock = SimulatedClock()
        let engine = try open(fileSystem, clock)
        let stepper = EngineStepper(engine)
        var model: [String: String] = [:]
        var refusals = 0
        var number = 0
        func write(_ count: Int) throws {
            for _ in 0..<count {
                number += 1
                let key = "key\(number % 90)"
                let value = "\(number) " + String(repeating: "x", count: 300)
                var batch = WriteBatch()
                try batch.put(value, for: key)
                let write = stepper.submit(batch, ack: .wal)
                for _ in 0..<100 {
                    stepper.work()
                    clock.advance(by: 10_000_000)
                    guard let outcome = stepper.outcome(of: write) else { continue }
                    if let code = outcome.code {
                        #expect(code == .noSpace)
                        refusals += 1
                    } else {
                        model[key] = value
                    }
                    break
                }
            }
        }
        try write(100)
        #expect(refusals == 0)

        fileSystem.inject(
            SimulatedFault(.write, errno: ENOSPC, duration: .forever) { $0.hasSuffix(".segment") }
        )
        try write(400)
        #expect(refusals > 10)
        #expect(try contents(engine) == model)
        #expect(engine.metrics.stallReason == .flush)

        fileSystem.removeFaults()
        for _ in 0..<20 {
            clock.advance(by: 100_000_000)
            stepper.work()
        }
        let before = refusals
        try write(100)
        #expect(refusals == before)
        #expect(try contents(engine) == model)
        try engine.close()
        #expect(try contents(open(fileSystem)) == model)
    }

    @Test func damageInASegmentIsToldAndTheRestIsServed() throws {
        let fileSystem = SimulatedFileSystem()
        let written = try run(on: fileSystem)
        #expect(written.metrics?.flushes ?? 0 > 0)
        let names = (fileSystem.names(inDirectory: "db", .cached) ?? []).filter {
            $0.hasSuffix(".segment")
        }
        let name = try #require(names.first)
        try fileSystem.change(name, at: 30) { $0 ^ 1 }
        let engine = try open(fileSystem)

        var errors = 0
        var found = 0
        for (key, value) in written.acknowledged {
            do throws(EngineError) {
                guard let read = try engine.value(for: key) else {
                    Issue.record("\(key) is absent")
                    continue
                }
                #expect(read == Array(value.utf8))
                found += 1
            } catch {
                #expect(error.code == .corruption && error.file == name)
                errors += 1
            }
        }
        #expect(errors > 0 && found > 0)
        #expect(code { _ = try engine.verify() } == .corruption)
        #expect(code { _ = try contents(engine) } == .corruption)
        // A compaction of the damaged segment fails, and leaves everything as it is.
        let stepper = EngineStepper(engine)
        for number in 0..<100 {
            let value = String(repeating: "y", count: 400)
            #expect(try stepper.put(value, for: "other\(number)", ack: .wal).code == nil)
        }
        #expect(engine.metrics.maintenanceFailures > 0)
        #expect(fileSystem.names(inDirectory: "db", .cached)?.contains(name) == true)
    }

    @Test func aMissingSegmentIsRefused() throws {
        let fileSystem = SimulatedFileSystem()
        _ = try run(on: fileSystem)
        let directory = try StoreDirectory.open(path: "db", in: fileSystem)
        let segments = try directory.list().known.filter {
            if case .segment = $0 { true } else { false }
        }
        try directory.durableRemove([try #require(segments.first)])

        #expect(code { _ = try open(fileSystem) } == .corruption)
    }

    @Test func unknownFilesAreNeverRemoved() throws {
        let fileSystem = SimulatedFileSystem()
        _ = try run(on: fileSystem)
        let directory = try StoreDirectory.open(path: "db", in: fileSystem)
        let handle = try fileSystem.open("notes.txt", in: directory.handle, .create)
        try fileSystem.close(handle)

        let engine = try open(fileSystem)
        let stepper = EngineStepper(engine)
        for number in 0..<100 {
            let value = String(repeating: "z", count: 400)
            #expect(try stepper.put(value, for: "key\(number)", ack: .wal).code == nil)
        }
        try engine.close()

        #expect(try directory.list().unknown == ["notes.txt"])
    }

    /// What a flush or a compaction left behind when it was cut short goes with the first edit.
    @Test func orphansAreRemovedOnceAManifestSaysSo() throws {
        let fileSystem = SimulatedFileSystem()
        _ = try run(on: fileSystem)
        let directory = try StoreDirectory.open(path: "db", in: fileSystem)
        try directory.durableCreate(.segment(5000), contents: [1, 2, 3])
        let engine = try open(fileSystem)
        let stepper = EngineStepper(engine)
        stepper.work()
        #expect(try directory.list().known.contains(.segment(5000)))

        for number in 0..<100 {
            let value = String(repeating: "z", count: 400)
            #expect(try stepper.put(value, for: "key\(number)", ack: .wal).code == nil)
        }
        for _ in 0..<20 { stepper.work() }

        #expect(try !directory.list().known.contains(.segment(5000)))
        try engine.close()
    }
}
