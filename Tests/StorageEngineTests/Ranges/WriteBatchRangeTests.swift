import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// Range deletes in batches, against a dictionary that takes the operations one by one.
@Suite struct WriteBatchRangeTests {
    private typealias Change = ModelStore.Change

    @Test(arguments: 0..<10)
    func aBatchDoesWhatItsOperationsDoOneByOne(group: Int) throws {
        var batch = WriteBatch()
        for seed in UInt64(group * 100)..<UInt64(group * 100 + 100) {
            var generator = SeededGenerator(seed: seed)
            if Bool.random(using: &generator) { batch = WriteBatch() } else { batch.removeAll() }
            var expected = Self.before
            for _ in 0..<Int.random(in: 0...40, using: &generator) {
                let change = Self.change(using: &generator)
                change.apply(to: &expected)
                try change.apply(to: &batch)
                if Int.random(in: 0..<10, using: &generator) == 0 {
                    try check(batch, expected, "seed \(seed), on the way")
                }
            }

            try check(batch, expected, "seed \(seed)")
        }
    }

    @Test func anEmptyRangeIsNoOperation() throws {
        var batch = WriteBatch()

        try batch.deleteRange(KeyRange(from: [1], to: [1]))
        try batch.deleteRange(KeyRange(from: [2], to: [1]))
        try batch.deleteRange(KeyRange(from: [], to: []))

        #expect(batch.isEmpty && batch.encodedSize == 0)
    }

    @Test func boundsBeyondTheLimitAreRefused() throws {
        let longest = [UInt8](repeating: 7, count: Limits.keySize)
        var batch = WriteBatch()
        try batch.put("value", for: "key")
        try batch.deleteRange(KeyRange(from: longest.dropLast() + [], to: longest))
        let size = batch.encodedSize

        for range in [
            KeyRange(from: longest + [1]), KeyRange(to: longest + [1]),
            KeyRange(from: longest + [1], to: [0]),
        ] {
            var refusal: EngineError.Code?
            do { try batch.deleteRange(range) } catch { refusal = error.code }
            #expect(refusal == .invalidArgument)
        }

        #expect(batch.count == 2 && batch.encodedSize == size)
        #expect(try Self.operations(batch).count == 2)
    }

    @Test func aRangeThatRemovesEnoughFitsIntoAFullBatch() throws {
        let value = [UInt8](repeating: 7, count: Limits.valueSize)
        var batch = WriteBatch()
        try batch.put(value, for: "a")
        // Kind, keyspace, key with its size, and the value's size are 8 bytes.
        try batch.put(value[..<(Limits.batchSize - batch.encodedSize - 8)], for: "b")
        #expect(batch.encodedSize == Limits.batchSize)
        let bound = [UInt8](repeating: 200, count: 100)

        var refusal: EngineError.Code?
        do { try batch.deleteRange(KeyRange(from: bound)) } catch { refusal = error.code }
        #expect(refusal == .invalidArgument)
        #expect(batch.count == 2 && batch.encodedSize == Limits.batchSize)
        try batch.deleteRange(KeyRange(from: Array("b".utf8), to: bound))
        #expect(batch.count == 2 && batch.encodedSize < Limits.valueSize + 200)
        try batch.put("1", for: "b")
        #expect(batch.count == 3)
    }

    /// Replaced and removed operations are dropped when there are too many of them.
    @Test func rangesSurviveTheRemovalOfDeadOperations() throws {
        let value = [UInt8](repeating: 7, count: Limits.valueSize)
        var batch = WriteBatch()
        try batch.deleteRange(KeyRange(from: [1], to: [2]))
        for _ in 0..<2 {
            try batch.put(value, for: "a")
            try batch.deleteRange(KeyRange(from: [3], to: [200]))
        }
        try batch.put([1], for: "b")
        try batch.put(value, for: "a")
        try batch.put([2], for: "a")
        try batch.put([3], for: "a")

        #expect(batch.count == 5)
        #expect(batch.encodedSize < 100)
        var state: [[UInt8]: [UInt8]] = [[1, 1]: [], [2]: [], [150]: []]
        try Self.apply(batch, to: &state)
        #expect(state == [[2]: [], [97]: [3], [98]: [1]])
    }

    @Test(arguments: UInt64(0)..<20)
    func mutatedOperationsNeverTrap(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var batch = WriteBatch()
        for _ in 0..<12 { try Self.change(using: &generator).apply(to: &batch) }
        let bytes = batch.withOperations { Array($0) }

        for _ in 0..<500 {
            var mutated = bytes
            for _ in 0..<Int.random(in: 1...3, using: &generator) where !mutated.isEmpty {
                let index = Int.random(in: 0..<mutated.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: mutated[index] = .random(in: 0...255, using: &generator)
                case 1: mutated[index] &+= 1
                default: mutated.removeSubrange(index...)
                }
            }
            let found = try? InspectedOperation.all(mutated)
            for operation in found ?? [] where operation.kind == .rangeDelete {
                #expect(
                    !KeyRange(from: operation.key, to: operation.upper).isEmpty,
                    "seed \(seed)"
                )
            }
        }
    }

    @Test(arguments: [
        [3, 0, 1, 5, 2, 5],  // lower is upper
        [3, 0, 1, 5, 2, 4],  // lower is above upper
        [3, 0, 0, 1],  // both are empty
        [3, 0, 1, 5],  // no upper
        [3, 0, 1, 5, 3, 6],  // too little of it
        [3, 0, 0, 0x82, 0x80, 0x04],  // longer than a key may be
        [3, 1, 0, 0],  // another keyspace
    ])
    func malformedRangesAreRefused(bytes: [UInt8]) {
        #expect(throws: EngineError.self) { try InspectedOperation.all(bytes) }
    }

    // MARK: - Model

    /// What is there before the batch: every key.
    private static let before = Dictionary(
        uniqueKeysWithValues: SmallKeys.all(upTo: 3).map { ($0, [UInt8(0)]) }
    )

    private static func change(using generator: inout SeededGenerator) -> Change {
        let key = SmallKeys.random(using: &generator)
        switch Int.random(in: 0..<6, using: &generator) {
        case 0: return .delete(key: key)
        case 1: return .deleteRange(SmallKeys.randomRange(using: &generator))
        default:
            return .put(key: key, value: [.random(in: 1...255, using: &generator)])
        }
    }

    private static func operations(
        _ batch: borrowing WriteBatch
    ) throws -> [InspectedOperation] {
        try InspectedOperation.all(batch.withOperations { Array($0) })
    }

    /// Applies an encoded batch by the rule of sequences: range deletes first, in any order.
    private static func apply(
        _ batch: borrowing WriteBatch,
        to state: inout [[UInt8]: [UInt8]]
    ) throws {
        let operations = try operations(batch)
        for operation in operations where operation.kind == .rangeDelete {
            let range = KeyRange(from: operation.key, to: operation.upper)
            state = state.filter { !range.contains($0.key) }
        }
        for operation in operations where operation.kind != .rangeDelete {
            state[operation.key] = operation.value
        }
    }

    private func check(
        _ batch: borrowing WriteBatch,
        _ expected: [[UInt8]: [UInt8]],
        _ what: String
    ) throws {
        var state = Self.before
        try Self.apply(batch, to: &state)
        let operations = try Self.operations(batch)
        let keys = operations.filter { $0.kind != .rangeDelete }.map(\.key)
        let size = batch.withOperations { $0.count }
        let (count, encodedSize) = (batch.count, batch.encodedSize)
        #expect(state == expected, "\(what)")
        #expect(Set(keys).count == keys.count, "\(what)")
        #expect(count == operations.count && encodedSize == size, "\(what)")
    }
}
