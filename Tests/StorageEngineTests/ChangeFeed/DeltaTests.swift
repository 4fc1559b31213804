import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// Copies that are brought up to date without the log.
@Suite struct DeltaTests {
    private let directory = TemporaryDirectory()
    private typealias State = [[UInt8]: [UInt8]]

    private func open() throws -> Engine {
        var options = Engine.Options()
        options.logger = .silent
        options.logFileSize = 16_384
        options.writeBufferSize = 16_384
        options.retainedLogSize = 0
        options.compaction.level0Count = 2
        options.compaction.levelBaseSize = 20_000
        options.compaction.segmentSize = 8_000
        return try Engine.open(at: directory.path + "/db", options: options)
    }

    private func state(_ snapshot: Snapshot) throws(EngineError) -> State {
        var state: State = [:]
        var cursor = try snapshot.cursor()
        while try cursor.next() {
            let key = cursor.key.withUnsafeBufferPointer(Array.init)
            state[key] = cursor.value.withUnsafeBufferPointer(Array.init)
        }
        return state
    }

    private func apply(
        _ delta: consuming Delta,
        to state: inout State
    ) throws(EngineError) -> Int {
        for range in delta.deletedRanges {
            state = state.filter { key, _ in
                key.lexicographicallyPrecedes(range.lower)
                    || range.upper.map { !key.lexicographicallyPrecedes($0) } ?? false
            }
        }
        var count = 0
        while try delta.next() {
            let key = delta.key.withUnsafeBufferPointer(Array.init)
            state[key] = delta.isDeleted ? nil : delta.value.withUnsafeBufferPointer(Array.init)
            count += 1
        }
        return count
    }

    @Test(arguments: UInt64(0)..<4)
    func aCopyIsExactAfterEachDeltaOrTheDeltaIsRefused(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let engine = try open()
        var copy: State = [:]
        var sequence: UInt64 = 0
        var refused = 0
        for round in 0..<30 {
            try engine.writeRandomly(using: &generator)
            if round % 7 == 3 { try engine.compact() }
            do throws(EngineError) {
                let delta = try engine.delta(after: sequence)
                let end = delta.position.sequence
                _ = try apply(delta, to: &copy)
                sequence = end
            } catch {
                #expect(error.code == .trimmed, "seed \(seed), round \(round)")
                refused += 1
                let snapshot = try engine.makeSnapshot()
                copy = try state(snapshot)
                sequence = snapshot.sequence
            }
            #expect(try copy == state(engine.makeSnapshot()), "seed \(seed), round \(round)")
        }
        #expect(refused < 30, "seed \(seed)")
        try engine.close()
    }

    @Test func writesThatComeWhileADeltaIsReadAreNotInIt() throws {
        let engine = try open()
        for number in 0..<100 { try engine.put("old", for: "k\(number)", ack: .memory) }
        var copy: State = [:]
        let delta = try engine.delta(after: 0)
        let before = try state(engine.makeSnapshot())
        for number in 0..<3000 {
            try engine.put("new \(number)", for: "k\(number % 90)", ack: .memory)
        }
        try engine.compact()
        #expect(delta.position.sequence == 100)
        #expect(try apply(delta, to: &copy) == 100)
        #expect(copy == before)
        try engine.close()
    }

    @Test func whatIsForgottenIsRefused() throws {
        let engine = try open()
        try engine.put("v", for: "a", ack: .memory)
        try engine.put("v", for: "b", ack: .memory)
        try engine.flush()
        try engine.delete("a", ack: .memory)
        try engine.compact()
        #expect(code { _ = try engine.delta(after: 2) } == .trimmed)
        #expect(code { _ = try engine.delta(after: 4) } == .ahead)
        try engine.put("v", for: "c", ack: .memory)
        var copy: State = [:]
        #expect(try apply(engine.delta(after: 3), to: &copy) == 1)
        #expect(copy == [[0x63]: [0x76]])
        try engine.close()
    }
}
