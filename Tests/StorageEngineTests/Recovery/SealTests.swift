import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// A seal reaches the disk with the frames before it, in any order.
@Suite struct SealTests {
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
}
