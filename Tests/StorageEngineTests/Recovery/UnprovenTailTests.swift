import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// A killed process leaves records in the page cache that no disk has: the next open reads them,
/// and a power cut then must not take back what it showed.
@Suite struct UnprovenTailTests {
    private let fileSystem: SimulatedFileSystem

    init() throws {
        fileSystem = SimulatedFileSystem()
        var engine: Engine? = try openSimulated(fileSystem)
        if let engine {
            let stepper = EngineStepper(engine)
            #expect(try stepper.put("1", for: "synced", ack: .disk).code == nil)
            for number in 0..<5 {
                #expect(try stepper.put("2", for: "\(number)", ack: .wal).code == nil)
            }
        }
        // Closes its files as they are; what the kernel has stays there.
        engine = nil
    }

    @Test func whatAnOpenStoreShowsIsOnDisk() throws {
        let engine = try openSimulated(fileSystem)
        let shown = try contents(engine)
        #expect(shown.count == 6)
        #expect(engine.recovery.rewrittenRecords == 5)

        let image = fileSystem.crashed(.none)

        #expect(try contents(openSimulated(image)) == shown)
    }

    @Test func aPowerCutInRecoveryLeavesWhatWasSynced() throws {
        let start = fileSystem.traceEnd
        let engine = try openSimulated(fileSystem)
        var history = fileSystem.history()
        var generator = SeededGenerator(seed: 1)

        for position in start...history.end {
            history.advance(to: position)
            for policy in [CrashPolicy.none, .prefix(1), .prefix(2), .sectors(keep: 0.5)] {
                let image = history.crashed(policy, using: &generator)
                let found = try contents(openSimulated(image))

                #expect(found["synced"] == "1", "position \(position), \(policy)")
            }
        }
        #expect(engine.lastSequence == 6)
    }
}
