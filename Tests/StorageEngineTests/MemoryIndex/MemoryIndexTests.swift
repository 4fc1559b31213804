import StorageEngineTestSupport
import Testing

@testable import StorageEngine

@Suite struct MemoryIndexTests {
    @Test func anEmptyIndexHasNoKeys() {
        let index = MemoryIndex()

        #expect(index.version(of: [], at: .max) == nil)
        #expect(index.version(of: [1], at: .max) == nil)
        #expect(index.keysForward(at: .max) == [])
        #expect(index.keysBackward(at: .max) == [])
        #expect(index.keyCount == 0 && index.versionCount == 0 && index.usedBytes == 0)
    }

    @Test func theEmptyKeyIsAKey() {
        let index = MemoryIndex()
        index.insert([], value: [9], sequence: 1)

        #expect(index.version(of: [], at: 1) == ModelVersion(sequence: 1, value: [9]))
        #expect(index.version(of: [0], at: 1) == nil)
        #expect(index.keysForward(at: 1) == [[]])
    }

    @Test func aTombstoneIsAVersion() {
        let index = MemoryIndex()
        let retention = MemoryIndex.Retention(visible: 1, registered: [1])
        index.insert([1], value: [9], sequence: 1)
        index.insert([1], ModelVersion(sequence: 2, value: [], isTombstone: true), retention)

        #expect(index.version(of: [1], at: 2)?.isTombstone == true)
        #expect(index.version(of: [1], at: 1) == ModelVersion(sequence: 1, value: [9]))
        #expect(index.keysForward(at: 2) == [[1]])
    }

    @Test func aLookupSaysWhetherThereIsSomethingNewer() {
        let index = MemoryIndex()
        index.insert([1], sequence: 5)

        let (below, at, absent) = [UInt8]([1, 2]).withUnsafeBytes { bytes in
            let key = UnsafeRawBufferPointer(rebasing: bytes[..<1])
            return (index.find(key, at: 4), index.find(key, at: 5), index.find(bytes, at: 4))
        }

        #expect(below.version == nil && below.sawNewer)
        #expect(at.version != nil && !at.sawNewer)
        #expect(absent.version == nil && !absent.sawNewer)
    }

    @Test(arguments: UInt64(0)..<24)
    func anIndexHoldsWhatWasInserted(seed: UInt64) {
        var shapes = KeyShapes(seed: seed)
        let (index, model) = filled(from: &shapes, count: 1_500)

        check(index, model, seed)
        for _ in 0..<1_500 {
            let key = shapes.next()
            #expect(
                index.version(of: key, at: .max) == model.version(of: key, at: .max),
                "seed \(seed)"
            )
        }
    }

    @Test(arguments: UInt64(100)..<104)
    func keysOf65536BytesAreKeptWhole(seed: UInt64) {
        var shapes = KeyShapes(seed: seed, longestSize: 65_536)
        let (index, model) = filled(from: &shapes, count: 300)
        #expect(model.sortedKeys.contains { $0.count > 30_000 }, "seed \(seed)")

        check(index, model, seed)
    }

    private func filled(
        from shapes: inout KeyShapes,
        count: UInt64
    ) -> (MemoryIndex, IndexModel) {
        let index = MemoryIndex()
        var model = IndexModel()
        for sequence in 1...count {
            let key = shapes.next()
            let value = [UInt8](repeating: UInt8(sequence & 0xff), count: Int(sequence % 40))
            let version = ModelVersion(sequence: sequence, value: value)
            let retention = MemoryIndex.Retention(visible: sequence - 1, registered: [])
            index.insert(key, version, retention)
            model.insert(key, version, retention)
        }
        return (index, model)
    }

    private func check(_ index: MemoryIndex, _ model: IndexModel, _ seed: UInt64) {
        index.checkInvariants()
        #expect(index.keyCount == model.sortedKeys.count, "seed \(seed)")
        #expect(index.versionCount == model.versionCount, "seed \(seed)")
        for key in model.sortedKeys {
            let isRight = index.version(of: key, at: .max) == model.version(of: key, at: .max)
            #expect(isRight, "seed \(seed)")
        }
        #expect(index.keysForward(at: .max) == model.sortedKeys, "seed \(seed)")
        #expect(index.keysBackward(at: .max) == model.sortedKeys.reversed(), "seed \(seed)")
    }
}

/// Nodes as they grow from 4 to 16, 48 and 256 children.
@Suite struct MemoryIndexGrowthTests {
    /// In which order the children of a node come.
    enum Order: CaseIterable {
        case ascending, descending, shuffled

        func bytes(_ generator: inout SeededGenerator) -> [UInt8] {
            switch self {
            case .ascending: Array(0...255)
            case .descending: (0...255).reversed()
            case .shuffled: (0...255).shuffled(using: &generator)
            }
        }
    }

    /// How many children a node has when a key that ends in it comes, if one does.
    static let ends: [Int?] = [nil, 0, 1, 3, 4, 5, 15, 16, 17, 47, 48, 49, 255, 256]

    @Test(arguments: Order.allCases, ends)
    func everyChildIsFoundWhileANodeGrows(order: Order, end: Int?) {
        var generator = SeededGenerator(seed: 1)
        let prefix: [UInt8] = [3, 0, 0xff, 3, 3, 3, 3, 3, 3]
        let index = MemoryIndex()
        var keys: [[UInt8]] = []
        func insert(_ key: [UInt8]) {
            keys.insert(key, at: keys.firstPlace(notBefore: key))
            index.insert(key, sequence: UInt64(keys.count))
        }

        for (count, byte) in order.bytes(&generator).enumerated() {
            if count == end { insert(prefix) }
            // Under some children is another node.
            if byte % 5 == 0 { insert(prefix + [byte, 1]) }
            insert(prefix + [byte])
            check(index, prefix, keys)
            guard [4, 5, 16, 17, 48, 49, 256].contains(count + 1) else { continue }
            index.checkInvariants()
            #expect(index.keysForward(at: .max) == keys)
            #expect(index.keysBackward(at: .max) == keys.reversed())
        }
        if end == 256 { insert(prefix) }

        #expect(index.keysForward(at: .max) == keys)
        #expect(index.keysBackward(at: .max) == keys.reversed())
    }

    /// Looks all children up, those that are absent as well.
    private func check(_ index: MemoryIndex, _ prefix: [UInt8], _ keys: [[UInt8]]) {
        let present = Set(keys.filter { $0.count == prefix.count + 1 }.compactMap(\.last))
        let found = Set(
            (UInt8(0)...255).filter { index.version(of: prefix + [$0], at: .max) != nil }
        )
        #expect(found == present)
    }
}
