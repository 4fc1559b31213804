import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// Batches that are read before they are written.
@Suite struct IndexedBatchTests {
    private let keys = SmallKeys.all(upTo: 3)

    private func open(_ fileSystem: SimulatedFileSystem = SimulatedFileSystem()) throws -> Engine {
        try openSimulated(fileSystem) { options in
            options.writeBufferSize = 16_384
            options.compaction.level0Count = 2
        }
    }

    @Test(arguments: UInt64(0)..<60)
    func readsSeeTheBatchOverTheStore(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let engine = try open()
        let stepper = EngineStepper(engine)
        var store: [[UInt8]: [UInt8]] = [:]
        for round in 0..<8 {
            let what = "seed \(seed), round \(round)"
            let snapshot = try engine.makeSnapshot()
            let isPinned = Bool.random(using: &generator)
            var batch = isPinned ? IndexedBatch(over: snapshot) : IndexedBatch(over: engine)
            var base = store
            var changes: [ModelStore.Change] = []
            for step in 0..<Int.random(in: 1...25, using: &generator) {
                let change = randomChange(using: &generator)
                try apply(change, to: &batch)
                changes.append(change)
                // Somebody else writes beside it.
                if step % 7 == 6 {
                    let other = ModelStore.Change.put(
                        key: SmallKeys.random(using: &generator),
                        value: [7, 7]
                    )
                    try commit(other, stepper)
                    other.apply(to: &store)
                    if !isPinned { base = store }
                }
                if step % 3 == 0 { try check(batch, base, changes, what, using: &generator) }
            }
            try check(batch, base, changes, what, using: &generator)
            if Bool.random(using: &generator) {
                var plain = WriteBatch()
                for change in changes { try change.apply(to: &plain) }
                #expect(batch.count == plain.count && batch.isEmpty == plain.isEmpty, "\(what)")
                try blocking { () throws in try batch.write(ack: .wal) }
                for change in changes { change.apply(to: &store) }
                let found = try entries(of: engine.makeSnapshot().cursor())
                #expect(found == sorted(store), "\(what), written")
            }
            if round % 3 == 2 { flush(stepper) }
        }
        try engine.close()
    }

    /// A cursor goes on through what the batch it was made of does later.
    @Test(arguments: UInt64(0)..<20)
    func aCursorSeesTheBatchAsItWasWhenItWasMade(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let engine = try open()
        for key in keys where Bool.random(using: &generator) {
            try engine.put([1], for: key, ack: .memory)
        }
        let base = Dictionary(uniqueKeysWithValues: try entries(of: engine.makeSnapshot().cursor()))
        var batch = IndexedBatch(over: engine)
        var changes: [ModelStore.Change] = []
        for _ in 0..<20 {
            let change = randomChange(using: &generator)
            try apply(change, to: &batch)
            changes.append(change)
        }
        var map = base
        for change in changes { change.apply(to: &map) }
        let expected = sorted(map)
        var cursor = try batch.cursor()
        for (index, entry) in expected.enumerated() {
            #expect(try cursor.next())
            let isRight = cursor.key.equals(entry.key) && cursor.value.equals(entry.value)
            #expect(isRight, "seed \(seed), entry \(index)")
            try apply(randomChange(using: &generator), to: &batch)
        }
        #expect(try !cursor.next())
        batch.removeAll()
        for entry in expected.reversed() {
            #expect(try cursor.previous())
            let isRight = cursor.key.equals(entry.key) && cursor.value.equals(entry.value)
            #expect(isRight, "seed \(seed), back")
        }
        #expect(try entries(of: batch.cursor()).count == base.count)
        try engine.close()
    }

    @Test func aRangeDeleteHidesWhatIsOlderAndNotWhatComesLater() throws {
        let engine = try open()
        for key in ["a", "b", "c", "d"] { try engine.put("old", for: key, ack: .memory) }
        var batch = IndexedBatch(over: engine)
        try batch.put("hidden", for: "bb")
        try batch.deleteRange(KeyRange(from: Array("b".utf8), to: Array("d".utf8)))
        try batch.put("new", for: "c")

        #expect(try batch.value(for: "b") == nil && batch.value(for: "bb") == nil)
        #expect(try batch.value(for: "c") == Array("new".utf8))
        #expect(try batch.contains("a") && !batch.contains("b"))
        #expect(try entries(of: batch.cursor()).map(\.0) == ["a", "c", "d"].map { Array($0.utf8) })
        let prefix = KeyRange(prefix: Array("c".utf8))
        #expect(try entries(of: batch.cursor(in: prefix)).map(\.1) == [Array("new".utf8)])
        // The store knows nothing of it yet.
        #expect(try contents(engine).count == 4)
        try engine.close()
    }

    /// However often values are replaced, memory stays near what the batch holds.
    @Test func replacedValuesAreGivenBack() throws {
        let engine = try open()
        var overlay = BatchOverlay()
        var batch = WriteBatch()
        let value = [UInt8](repeating: 1, count: 1 << 20)
        var byteCountMax = 0
        for round in 0..<100 {
            let key = [UInt8(round % 3)]
            try batch.put(value, for: key)
            key.withUnsafeBytes { key in
                value.withUnsafeBytes { overlay.insert(.put, key: key, value: $0) }
            }
            overlay.compact(batch)
            byteCountMax = max(byteCountMax, overlay.byteCount)
        }

        #expect(byteCountMax < 32 << 20)
        #expect([UInt8(1)].withUnsafeBytes { overlay.find($0).isValue(value) })
        try engine.close()
    }

    @Test func aClosedEngineIsToldOf() async throws {
        let engine = try open()
        var batch = IndexedBatch(over: engine)
        try batch.put("1", for: "a")
        try await engine.close()

        #expect(code { _ = try batch.value(for: "a") } == .closed)
        #expect(code { _ = try batch.cursor() } == .closed)
        #expect(code { try blocking { () throws in try batch.write() } } == .closed)
    }

    // MARK: - Helpers

    private func blocking<R>(_ body: () throws -> R) rethrows { _ = try body() }

    private func randomChange(using generator: inout SeededGenerator) -> ModelStore.Change {
        let key = SmallKeys.random(using: &generator)
        switch Int.random(in: 0..<8, using: &generator) {
        case 0, 1: return .delete(key: key)
        case 2: return .deleteRange(SmallKeys.randomRange(using: &generator))
        default: return .put(key: key, value: [.random(in: 0...255, using: &generator)])
        }
    }

    private func apply(_ change: ModelStore.Change, to batch: inout IndexedBatch) throws {
        switch change {
        case .put(let key, let value): try batch.put(value, for: key)
        case .delete(let key): try batch.delete(key)
        case .deleteRange(let range): try batch.deleteRange(range)
        }
    }

    private func commit(_ change: ModelStore.Change, _ stepper: EngineStepper) throws {
        var batch = WriteBatch()
        try change.apply(to: &batch)
        let outcome = try stepper.complete(stepper.submit(batch, ack: .wal))
        #expect(outcome.code == nil)
    }

    private func flush(_ stepper: EngineStepper) {
        for _ in 0..<20 { stepper.work() }
    }

    private func sorted(_ map: [[UInt8]: [UInt8]]) -> [(key: [UInt8], value: [UInt8])] {
        map.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { ($0.key, $0.value) }
    }

    private func entries(
        of cursor: consuming Cursor
    ) throws -> [(key: [UInt8], value: [UInt8])] {
        var found: [(key: [UInt8], value: [UInt8])] = []
        while try cursor.next() { found.append((cursor.key.copied, cursor.value.copied)) }
        return found
    }

    /// Compares gets, scans and a walk of a cursor with the model.
    private func check(
        _ batch: borrowing IndexedBatch,
        _ base: [[UInt8]: [UInt8]],
        _ changes: [ModelStore.Change],
        _ what: String,
        using generator: inout SeededGenerator
    ) throws {
        var map = base
        for change in changes { change.apply(to: &map) }
        for key in keys where try batch.value(for: key) != map[key] {
            Issue.record("\(what): \(key) has another value")
        }
        #expect(try entries(of: batch.cursor()) == sorted(map), "\(what)")
        let range = SmallKeys.randomRange(using: &generator)
        let expected = sorted(map).filter { range.contains($0.key) }
        var cursor = try batch.cursor(in: range)
        var place = -1
        for _ in 0..<30 {
            let key = SmallKeys.random(using: &generator)
            switch Int.random(in: 0..<8, using: &generator) {
            case 0:
                _ = try cursor.seek(to: key)
                place = expected.map(\.key).firstPlace(notBefore: key)
            case 1:
                _ = try cursor.seek(before: key)
                place = expected.map(\.key).firstPlace(notBefore: key) - 1
            case 2...4:
                _ = try cursor.next()
                place = min(place + 1, expected.count)
            default:
                _ = try cursor.previous()
                place = max(place - 1, -1)
            }
            #expect(cursor.isOnEntry == expected.indices.contains(place), "\(what)")
            guard cursor.isOnEntry, expected.indices.contains(place) else { continue }
            let entry = expected[place]
            let isRight = cursor.key.equals(entry.key) && cursor.value.equals(entry.value)
            #expect(isRight, "\(what), in \(range)")
        }
    }
}

extension BatchOverlay.Lookup {
    fileprivate func isValue(_ expected: [UInt8]) -> Bool {
        guard case .value(let bytes) = self else { return false }
        return bytes.elementsEqual(expected)
    }
}

private func == (
    left: [(key: [UInt8], value: [UInt8])],
    right: [(key: [UInt8], value: [UInt8])]
) -> Bool {
    left.elementsEqual(right) { $0.key == $1.key && $0.value == $1.value }
}
