import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// A power cut while log files begin and end.
@Suite struct RotationCrashTests {
    @Test(arguments: UInt64(0)..<40)
    func aPowerCutWhileAFileIsFinishedLeavesAStoreThatOpens(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let fileSystem = SimulatedFileSystem()
        let engine = try openSimulated(fileSystem)
        let stepper = EngineStepper(engine)
        #expect(try stepper.put("value", for: "synced", ack: .disk).code == nil)
        for number in 0..<4 {
            // More than a sector each, so that one can be lost and the seal be kept.
            let value = (0..<120).map { _ in String(generator.next(), radix: 36) }.joined()
            #expect(try stepper.put(value, for: "\(number)", ack: .wal).code == nil)
        }
        let start = fileSystem.traceEnd
        try engine.close()
        var history = fileSystem.history()

        for position in start...history.end {
            history.advance(to: position)
            let image = history.crashed(.sectors(keep: 0.5), using: &generator)
            let reopened = try openSimulated(image)

            #expect(try reopened.contains("synced"), "position \(position)")
        }
    }

    @Test func aPowerCutThatTearsAHeaderLeavesAStoreThatOpens() throws {
        let fileSystem = SimulatedFileSystem()
        let engine = try openSimulated(fileSystem)
        #expect(try EngineStepper(engine).put("value", for: "key", ack: .disk).code == nil)
        var history = fileSystem.history()

        for position in 0...history.end {
            history.advance(to: position)
            for count in [1, 8, 9, 12, 16, 24, 40, 140] {
                let image = history.crashed(.tornLast(bytes: count))
                #expect(throws: Never.self, "position \(position), \(count) bytes") {
                    _ = try openSimulated(image)
                }
            }
        }
    }
}
