import StorageEngineTestSupport
import Synchronization
import Testing

@testable import StorageEngine

/// Range deletes through the whole engine.
@Suite struct EngineRangeTests {
    private let keys = SmallKeys.all(upTo: 3)

    @Test(arguments: UInt64(0)..<40)
    func readersSeeWhatTheModelHolds(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let fileSystem = SimulatedFileSystem()
        var model = ModelStore()
        for round in 0..<3 {
            let engine = try openSimulated(fileSystem)
            let what = "seed \(seed), round \(round)"
            try model.check(engine.makeSnapshot(), what + ", opened")
            var snapshots: [Snapshot] = []
            for _ in 0..<60 {
                try write(to: engine, &model, using: &generator)
                if Int.random(in: 0..<8, using: &generator) == 0 {
                    snapshots.append(try engine.makeSnapshot())
                }
                if snapshots.count > 4 {
                    snapshots.remove(at: .random(in: 0..<5, using: &generator))
                }
                try checkLatest(engine, model, what)
            }
            for snapshot in snapshots + [try engine.makeSnapshot()] {
                try model.check(snapshot, what)
                for _ in 0..<4 { try walk(snapshot, model, what, using: &generator) }
            }
            try engine.close()
        }
    }

    @Test func rangesAreDeletedSynchronouslyAndNot() async throws {
        let directory = TemporaryDirectory()
        let engine = try Engine.open(at: directory.path + "/db")
        for key in ["a", "b", "c", "d"] { try await engine.put("1", for: key, ack: .memory) }
        let snapshot = try engine.makeSnapshot()

        let receipt = try await engine.deleteRange(
            KeyRange(from: Array("b".utf8), to: Array("c".utf8)),
            ack: .wal
        )
        try blocking { try engine.deleteRange(KeyRange(from: Array("d".utf8)), ack: .memory) }
        let empty = try await engine.deleteRange(KeyRange(from: [2], to: [1]))

        #expect(receipt.position.sequence == 5 && empty.position.sequence == 6)
        #expect(try contents(engine) == ["a": "1", "c": "1"])
        #expect(try snapshot.value(for: "b") == Array("1".utf8))
        #expect(engine.metrics.indexBytes > 0)
        try await engine.close()
    }

    private func blocking(_ body: () throws -> Void) rethrows { try body() }

    /// A cursor over what is deleted, with nothing written behind it, seeks to its end.
    @Test func aDeletedRunIsPassedAtOnce() throws {
        let engine = try openSimulated(SimulatedFileSystem())
        var batch = WriteBatch()
        for number in 1000..<3000 { try batch.put("1", for: "\(number)") }
        try engine.write(batch, ack: .memory)
        try engine.deleteRange(
            KeyRange(from: Array("1001".utf8), to: Array("2999".utf8)),
            ack: .memory
        )

        #expect(try contents(engine) == ["1000": "1", "2999": "1"])
        var cursor = try engine.makeSnapshot().cursor()
        #expect(try cursor.seekToLast())
        #expect(try cursor.previous())
        let isFirst = cursor.key.equals(Array("1000".utf8))
        #expect(isFirst)
        #expect(try !cursor.previous())
    }

    @Test func rangeTombstonesCountAsMemory() throws {
        let index = MemoryIndex()
        let before = index.byteCount

        index.insert(
            RangeTombstone(KeyRange(from: [UInt8](repeating: 1, count: 1000)), sequence: 1),
            retention: MemoryIndex.Retention(visible: 0, registered: [])
        )

        #expect(index.byteCount >= before + 1000)
        #expect(index.rangeTombstones.count == 1)
    }

    /// A range is deleted and a key in it put again, over and over. Who reads the latest value must
    /// never see one that was deleted before, nor miss one that was there all the time.
    @Test func aReadBesideAWriterSeesNothingOld() {
        let state = ReadState(lastSequence: 0)
        let key: [UInt8] = [1]
        let isDone = Atomic<Bool>(false)
        let wrong = Atomic<Int>(0)
        @Sendable func number(
            _ look: (UnsafeRawBufferPointer) throws(EngineError) -> ReadState.Lookup
        ) -> UInt64? {
            key.withUnsafeBytes { key in
                do throws(EngineError) {
                    guard case .found(let value) = try look(key) else { return nil }
                    return value.bytes.loadUnaligned(as: UInt64.self)
                } catch {
                    return nil
                }
            }
        }
        @Sendable func write(_ sequence: UInt64) {
            let retention = state.retention
            if sequence % 2 == 0 {
                let range = KeyRange(from: sequence % 3 == 0 ? [] : [1], to: [2])
                state.active.insert(
                    RangeTombstone(range, sequence: sequence),
                    retention: retention
                )
            } else {
                state.active.insert(
                    key,
                    ModelVersion(sequence: sequence, value: sequence.bytes),
                    retention
                )
            }
            state.publish(sequence)
        }
        write(1)
        let snapshot = state.registerSnapshot()
        let readers = (0..<2).map { _ in
            WorkerThread(name: "reader") {
                while !isDone.load(ordering: .acquiring) {
                    let least = state.visibleSequence
                    let value = number { key throws(EngineError) in try state.latest(key) }
                    let last = state.visibleSequence
                    let isRight =
                        value.map { $0 >= least }
                        ?? (least % 2 == 0 || last > least)
                    let old = number { key throws(EngineError) in try state.value(key, at: snapshot)
                    }
                    let isKept = old == 1
                    if !isRight || !isKept { wrong.add(1, ordering: .relaxed) }
                }
            }
        }
        for sequence in UInt64(2)...60_000 { write(sequence) }
        isDone.store(true, ordering: .releasing)
        for reader in readers { reader.join() }

        #expect(wrong.load(ordering: .relaxed) == 0)
        state.snapshots.release(snapshot)
    }

    // MARK: - Model

    private func write(
        to engine: Engine,
        _ model: inout ModelStore,
        using generator: inout SeededGenerator
    ) throws {
        var batch = WriteBatch()
        let changes = (0..<Int.random(in: 1...5, using: &generator)).map { _ in
            let key = SmallKeys.random(using: &generator)
            switch Int.random(in: 0..<8, using: &generator) {
            case 0: return ModelStore.Change.delete(key: key)
            case 1: return .deleteRange(SmallKeys.randomRange(using: &generator))
            default: return .put(key: key, value: [.random(in: 0...255, using: &generator)])
            }
        }
        for change in changes { try change.apply(to: &batch) }
        guard !batch.isEmpty else { return }
        let receipt = try engine.write(batch, ack: .memory)
        model.add(changes, at: receipt.position.sequence)
    }

    private func checkLatest(_ engine: Engine, _ model: ModelStore, _ what: String) throws {
        let state = model.state(at: model.lastSequence)
        let map = Dictionary(uniqueKeysWithValues: state.map { ($0.key, $0.value) })
        let wrong = try keys.first { try engine.value(for: $0) != map[$0] }
        #expect(wrong == nil, "\(what)")
    }

    /// Moves a cursor at random, beside an index into the model's entries.
    private func walk(
        _ snapshot: Snapshot,
        _ model: ModelStore,
        _ what: String,
        using generator: inout SeededGenerator
    ) throws {
        let range = SmallKeys.randomRange(using: &generator)
        let expected = model.state(at: snapshot.sequence).map(\.key).filter { range.contains($0) }
        var cursor = try snapshot.cursor(in: range)
        var place = -1
        for _ in 0..<40 {
            let key = SmallKeys.random(using: &generator)
            switch Int.random(in: 0..<8, using: &generator) {
            case 0:
                _ = try cursor.seek(to: key)
                place = expected.firstPlace(notBefore: key)
            case 1:
                _ = try cursor.seek(before: key)
                place = expected.firstPlace(notBefore: key) - 1
            case 2...4:
                _ = try cursor.next()
                place = min(place + 1, expected.count)
            default:
                _ = try cursor.previous()
                place = max(place - 1, -1)
            }
            let isOnEntry = expected.indices.contains(place)
            #expect(cursor.isOnEntry == isOnEntry, "\(what)")
            guard cursor.isOnEntry, isOnEntry else { continue }
            let isRight = cursor.key.equals(expected[place])
            #expect(isRight, "\(what)")
        }
    }
}

extension UInt64 {
    fileprivate var bytes: [UInt8] { withUnsafeBytes(of: self) { Array($0) } }
}
