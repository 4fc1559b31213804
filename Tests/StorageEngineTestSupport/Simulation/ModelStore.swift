package import StorageEngine

/// What a store must hold, kept the simplest way that is fast: of every key all values that it ever
/// had.
package struct ModelStore: Sendable {
    /// One change of a batch.
    package enum Change: Sendable, Hashable {
        case put(key: [UInt8], value: [UInt8])
        case delete(key: [UInt8])
        case deleteRange(KeyRange)
    }

    private struct Version {
        let sequence: UInt64
        /// From this sequence on it is gone: a write that failed may be there after a crash, but
        /// not together with a later one.
        var end = UInt64.max
        let value: [UInt8]?
    }

    /// Every key that was ever written, in order.
    package private(set) var keys: [[UInt8]] = []
    /// Of each of them, in the order of sequences.
    private var versions: [[Version]] = []
    /// The greatest sequence that may be found.
    package private(set) var lastSequence: UInt64 = 0
    /// Writes that failed, and that no later write has made impossible.
    private var withdrawn: Set<UInt64> = []
    /// Whether values say what they are, see ``ValueStamp``.
    let hasStamps: Bool

    package init(hasStamps: Bool = false) { self.hasStamps = hasStamps }

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
        for (index, value) in effect(of: changes) {
            let version = Version(sequence: sequence, value: value)
            let place = versions[index].lastIndex { $0.sequence < sequence }.map { $0 + 1 } ?? 0
            versions[index].insert(version, at: place)
        }
    }

    /// What a batch does to keys by their place, the last change of each only.
    private mutating func effect(of changes: [Change]) -> [Int: [UInt8]?] {
        for case .put(let key, _) in changes { note(key) }
        var effect: [Int: [UInt8]?] = [:]
        for change in changes {
            switch change {
            case .put(let key, let value): effect[place(of: key)] = .some(value)
            case .delete(let key):
                let index = place(of: key)
                if index < keys.count, keys[index] == key { effect[index] = .some(nil) }
            case .deleteRange(let range):
                for index in keys.indices where range.contains(keys[index]) {
                    effect[index] = .some(nil)
                }
            }
        }
        return effect
    }

    private mutating func note(_ key: [UInt8]) {
        let index = place(of: key)
        guard index == keys.count || keys[index] != key else { return }
        keys.insert(key, at: index)
        versions.insert([], at: index)
    }

    /// The place of the first key that is not before this one.
    private func place(of key: [UInt8]) -> Int {
        var (low, high) = (0, keys.count)
        while low < high {
            let middle = (low + high) / 2
            if keys[middle].lexicographicallyPrecedes(key) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
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

    /// The value of the key at a place after all batches up to a sequence, `nil` when it has none.
    func value(ofKeyAt index: Int, at sequence: UInt64) -> [UInt8]? {
        versions[index].last { $0.sequence <= sequence && sequence < $0.end }?.value
    }

    /// The keys and values after all batches up to a sequence, in key order.
    package func state(at sequence: UInt64) -> [(key: [UInt8], value: [UInt8])] {
        keys.indices.compactMap { index in
            value(ofKeyAt: index, at: sequence).map { (key: keys[index], value: $0) }
        }
    }
}

extension ModelStore.Change {
    package func apply(to batch: inout WriteBatch) throws(EngineError) {
        switch self {
        case .put(let key, let value): try batch.put(value, for: key)
        case .delete(let key): try batch.delete(key)
        case .deleteRange(let range): try batch.deleteRange(range)
        }
    }

    package func apply(to map: inout [[UInt8]: [UInt8]]) {
        switch self {
        case .put(let key, let value): map[key] = value
        case .delete(let key): map[key] = nil
        case .deleteRange(let range): map = map.filter { !range.contains($0.key) }
        }
    }
}
