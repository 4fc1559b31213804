package import StorageEngine

/// What a store must hold, kept the simplest way that is fast: of every key all values that it ever
/// had. The keys are those of a workload; there are no others.
package struct ModelStore: Sendable {
    /// One change of a batch; keys by their place in ``keys``.
    package enum Change: Sendable, Hashable {
        case put(key: Int, value: [UInt8])
        case delete(key: Int)
        case deleteRange(KeyRange)
    }

    private struct Version {
        let sequence: UInt64
        /// From this sequence on it is gone: a write that failed may be there after a crash, but
        /// not together with a later one.
        var end = UInt64.max
        let value: [UInt8]?
    }

    /// All keys there can be, in order.
    package let keys: [[UInt8]]
    /// Of each key, in the order of sequences.
    private var versions: [[Version]]
    /// The greatest sequence that may be found.
    package private(set) var lastSequence: UInt64 = 0
    /// Writes that failed, and that no later write has made impossible.
    private var withdrawn: Set<UInt64> = []

    package init(keys: [[UInt8]]) {
        self.keys = keys
        versions = [[Version]](repeating: [], count: keys.count)
    }

    /// Adds a batch; sequences arrive in any order.
    package mutating func add(_ changes: [Change], at sequence: UInt64) {
        end(before: sequence)
        insert(changes, sequence)
    }

    /// Adds batches that failed together: some may be there after a crash, as the last ones.
    package mutating func addWithdrawn(_ group: [(sequence: UInt64, changes: [Change])]) {
        guard let first = group.first else { return }
        end(before: first.sequence)
        for (sequence, changes) in group {
            insert(changes, sequence)
            withdrawn.insert(sequence)
        }
    }

    /// Whether a sequence is that of a write that failed.
    package func isWithdrawn(_ sequence: UInt64) -> Bool { withdrawn.contains(sequence) }

    private mutating func insert(_ changes: [Change], _ sequence: UInt64) {
        lastSequence = max(lastSequence, sequence)
        for (key, value) in effect(of: changes) {
            let version = Version(sequence: sequence, value: value)
            let place = versions[key].lastIndex { $0.sequence < sequence }.map { $0 + 1 } ?? 0
            versions[key].insert(version, at: place)
        }
    }

    /// What a batch does, the last change of each key only.
    private func effect(of changes: [Change]) -> [(key: Int, value: [UInt8]?)] {
        var effect: [Int: [UInt8]?] = [:]
        for change in changes {
            switch change {
            case .put(let key, let value): effect[key] = .some(value)
            case .delete(let key): effect[key] = .some(nil)
            case .deleteRange(let range):
                for key in keys.indices where range.contains(keys[key]) {
                    effect[key] = .some(nil)
                }
            }
        }
        return effect.map { (key: $0.key, value: $0.value) }
    }

    private mutating func end(before sequence: UInt64) {
        guard !withdrawn.isEmpty else { return }
        for key in versions.indices {
            for index in versions[key].indices
            where withdrawn.contains(versions[key][index].sequence) {
                versions[key][index].end = min(sequence, versions[key][index].end)
            }
        }
        withdrawn = []
    }

    /// Makes what was found up to a sequence the whole history.
    package mutating func cut(to sequence: UInt64) {
        for key in versions.indices {
            versions[key].removeAll { $0.sequence > sequence || $0.end <= sequence }
            for index in versions[key].indices { versions[key][index].end = .max }
        }
        withdrawn = []
        lastSequence = sequence
    }

    /// The value of a key after all batches up to a sequence, `nil` when it has none.
    package func value(of key: Int, at sequence: UInt64) -> [UInt8]? {
        versions[key].last { $0.sequence <= sequence && sequence < $0.end }?.value
    }

    /// The keys and values after all batches up to a sequence, in key order.
    package func state(at sequence: UInt64) -> [(key: Int, value: [UInt8])] {
        keys.indices.compactMap { key in
            value(of: key, at: sequence).map { (key: key, value: $0) }
        }
    }
}

extension ModelStore.Change {
    package func apply(
        to batch: inout WriteBatch,
        keys: [[UInt8]]
    ) throws(EngineError) {
        switch self {
        case .put(let key, let value): try batch.put(value, for: keys[key])
        case .delete(let key): try batch.delete(keys[key])
        case .deleteRange(let range): try batch.deleteRange(range)
        }
    }
}
