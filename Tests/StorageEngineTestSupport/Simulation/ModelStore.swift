package import StorageEngine

/// What a store must hold, kept the simplest way: every batch by its sequence.
package struct ModelStore: Sendable {
    /// One change of a batch.
    package enum Change: Sendable, Hashable {
        case put(key: [UInt8], value: [UInt8])
        case delete(key: [UInt8])
        case deleteRange(KeyRange)

        package func apply(to map: inout [[UInt8]: [UInt8]]) {
            switch self {
            case .put(let key, let value): map[key] = value
            case .delete(let key): map[key] = nil
            case .deleteRange(let range): map = map.filter { !range.contains($0.key) }
            }
        }

        package func apply(to batch: inout WriteBatch) throws(EngineError) {
            switch self {
            case .put(let key, let value): try batch.put(value, for: key)
            case .delete(let key): try batch.delete(key)
            case .deleteRange(let range): try batch.deleteRange(range)
            }
        }
    }

    /// The batches in the order of their sequences.
    private var batches: [(sequence: UInt64, changes: [Change])] = []

    package init() {}

    package var lastSequence: UInt64 { batches.last?.sequence ?? 0 }
    package var count: Int { batches.count }

    /// Adds a batch; sequences arrive in any order.
    package mutating func add(_ changes: [Change], at sequence: UInt64) {
        let index = batches.lastIndex { $0.sequence < sequence } ?? -1
        precondition(index + 1 == batches.count || batches[index + 1].sequence != sequence)
        batches.insert((sequence, changes), at: index + 1)
    }

    /// Forgets every batch behind a sequence.
    package mutating func cut(to sequence: UInt64) {
        batches.removeAll { $0.sequence > sequence }
    }

    /// The keys and values after all batches up to a sequence, in key order.
    package func state(at sequence: UInt64) -> [(key: [UInt8], value: [UInt8])] {
        var map: [[UInt8]: [UInt8]] = [:]
        for batch in batches {
            guard batch.sequence <= sequence else { break }
            for change in batch.changes { change.apply(to: &map) }
        }
        return map.sorted { $0.key.lexicographicallyPrecedes($1.key) }
            .map { (key: $0.key, value: $0.value) }
    }
}

/// A promise was broken; the message says which, and the seed that replays it.
package struct SimulationFailure: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

extension ModelStore {
    /// Compares a snapshot with the model at its sequence: scans both ways, and gets of every key.
    package func check(_ snapshot: Snapshot, _ what: String) throws {
        let expected = state(at: snapshot.sequence)
        try checkForward(snapshot, expected, what)
        try checkBackward(snapshot, expected, what)
        for entry in expected {
            guard try snapshot.value(for: entry.key) == entry.value else {
                throw SimulationFailure("\(what): a get differs from the model, key \(entry.key)")
            }
        }
    }

    private func checkForward(
        _ snapshot: Snapshot,
        _ expected: [(key: [UInt8], value: [UInt8])],
        _ what: String
    ) throws {
        var cursor = try snapshot.cursor()
        var index = 0
        while try cursor.next() {
            guard index < expected.count, cursor.key.equals(expected[index].key),
                cursor.value.equals(expected[index].value)
            else {
                throw SimulationFailure(
                    "\(what): entry \(index) of \(expected.count) differs from the model at "
                        + "sequence \(snapshot.sequence)"
                )
            }
            index += 1
        }
        guard index == expected.count else {
            throw SimulationFailure(
                "\(what): \(index) entries, the model has \(expected.count) at sequence "
                    + "\(snapshot.sequence)"
            )
        }
    }

    private func checkBackward(
        _ snapshot: Snapshot,
        _ expected: [(key: [UInt8], value: [UInt8])],
        _ what: String
    ) throws {
        var cursor = try snapshot.cursor()
        var index = expected.count
        _ = try cursor.seekToLast()
        while cursor.isOnEntry {
            index -= 1
            guard index >= 0, cursor.key.equals(expected[index].key) else {
                throw SimulationFailure("\(what): backward, entry \(index) differs from the model")
            }
            _ = try cursor.previous()
        }
        guard index == 0 else { throw SimulationFailure("\(what): backward, \(index) are missing") }
    }
}

extension Span where Element == UInt8 {
    package func equals(_ bytes: [UInt8]) -> Bool {
        guard count == bytes.count else { return false }
        for index in indices where self[index] != bytes[index] { return false }
        return true
    }
}
