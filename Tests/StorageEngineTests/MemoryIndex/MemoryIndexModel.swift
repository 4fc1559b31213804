import StorageEngineTestSupport

@testable import StorageEngine

/// A version as a test compares it.
struct ModelVersion: Equatable {
    let sequence: UInt64
    let value: [UInt8]
    let isTombstone: Bool

    init(sequence: UInt64, value: [UInt8], isTombstone: Bool = false) {
        self.sequence = sequence
        self.value = value
        self.isTombstone = isTombstone
    }

    init(_ version: IndexVersion) {
        self.init(
            sequence: version.sequence,
            value: Array(version.value),
            isTombstone: version.isTombstone
        )
    }
}

/// What an index must hold, found the plain way: every version ever written, and those kept.
struct IndexModel {
    /// All versions of each key, oldest first.
    private(set) var written: [[UInt8]: [ModelVersion]] = [:]
    /// The sequences that lookups can still find, newest first.
    private(set) var linked: [[UInt8]: [UInt64]] = [:]
    private(set) var sortedKeys: [[UInt8]] = []
    private(set) var unlinkedBytes = 0
    /// What leaves and versions take, without inner nodes.
    private(set) var entryBytes = 0

    var versionCount: Int { linked.values.reduce(0) { $0 + $1.count } }

    mutating func insert(
        _ key: [UInt8],
        _ version: ModelVersion,
        _ retention: MemoryIndex.Retention
    ) {
        if written[key] == nil {
            sortedKeys.insert(key, at: lowerBound(key))
            entryBytes += IndexLeaf.size(keySize: key.count)
        }
        entryBytes += IndexVersion.size(
            valueSize: version.value.count,
            isFirst: written[key] == nil
        )
        written[key, default: []].append(version)
        let older = linked[key] ?? []
        // Until the last version is published, an insert leaves what is behind it.
        let isLeft = older.first.map { $0 > retention.visible } ?? true
        let kept = isLeft ? older : older.filter { isKept($0, of: older, retention) }
        for dropped in Set(older).subtracting(kept) {
            let size = written[key]?.first { $0.sequence == dropped }?.value.count ?? 0
            unlinkedBytes += IndexVersion.size(
                valueSize: size,
                isFirst: dropped == written[key]?.first?.sequence
            )
        }
        linked[key] = [version.sequence] + kept
    }

    private func isKept(
        _ sequence: UInt64,
        of all: [UInt64],
        _ retention: MemoryIndex.Retention
    ) -> Bool {
        sequence > retention.visible
            || (retention.registered + [retention.visible]).contains { read in
                all.filter { $0 <= read }.max() == sequence
            }
    }

    /// The newest version at or below a sequence.
    func version(of key: [UInt8], at sequence: UInt64) -> ModelVersion? {
        written[key]?.last { $0.sequence <= sequence }
    }

    /// The keys that have a version at or below a sequence, in order.
    func keys(at sequence: UInt64) -> [[UInt8]] {
        sortedKeys.filter { version(of: $0, at: sequence) != nil }
    }

    /// The place of the first key at or behind one.
    private func lowerBound(_ key: [UInt8]) -> Int { sortedKeys.firstPlace(notBefore: key) }
}

extension [[UInt8]] {
    /// The place of the first of these sorted keys at or behind a key.
    func firstPlace(notBefore key: [UInt8]) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if self[middle].lexicographicallyPrecedes(key) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }
}

extension MemoryIndex {
    func insert(_ key: [UInt8], _ version: ModelVersion, _ retention: Retention) {
        _ = key.withUnsafeBytes { key in
            version.value.withUnsafeBytes { value in
                insert(
                    key: key,
                    value: value,
                    flags: version.isTombstone ? MemoryIndex.tombstone : 0,
                    sequence: version.sequence,
                    retention: retention
                )
            }
        }
    }

    /// Inserts under a sequence that is published at once.
    func insert(_ key: [UInt8], value: [UInt8] = [], sequence: UInt64) {
        insert(
            key,
            ModelVersion(sequence: sequence, value: value),
            Retention(visible: sequence - 1, registered: [])
        )
    }

    func version(of key: [UInt8], at sequence: UInt64) -> ModelVersion? {
        key.withUnsafeBytes { find($0, at: sequence).version.map(ModelVersion.init) }
    }

    /// The sequences of a key's versions that can be found, newest first.
    func linkedSequences(of key: [UInt8]) -> [UInt64] {
        var sequences: [UInt64] = []
        var version = key.withUnsafeBytes { find($0, at: .max).version }
        while let found = version {
            sequences.append(found.sequence)
            version = found.next
        }
        return sequences
    }

    /// The keys that a cursor yields from the first to the last.
    func keysForward(at sequence: UInt64) -> [[UInt8]] {
        var cursor = MemoryIndexCursor(self, at: sequence)
        var keys: [[UInt8]] = []
        var isOnEntry = cursor.seekToFirst()
        while isOnEntry {
            keys.append(Array(cursor.key))
            isOnEntry = cursor.next()
        }
        return keys
    }

    /// The keys that a cursor yields from the last to the first.
    func keysBackward(at sequence: UInt64) -> [[UInt8]] {
        var cursor = MemoryIndexCursor(self, at: sequence)
        var keys: [[UInt8]] = []
        var isOnEntry = cursor.seekToLast()
        while isOnEntry {
            keys.append(Array(cursor.key))
            isOnEntry = cursor.previous()
        }
        return keys
    }
}

/// Keys of the shapes that a radix tree may get wrong, many of them near to earlier ones.
struct KeyShapes {
    private(set) var generator: SeededGenerator
    private var earlier: [[UInt8]] = [[]]
    private let longestSize: Int

    init(seed: UInt64, longestSize: Int = 64) {
        generator = SeededGenerator(seed: seed)
        self.longestSize = longestSize
    }

    mutating func next() -> [UInt8] {
        let key = makeKey()
        // A bounded set of ancestors keeps the keys related.
        if earlier.count < 200 {
            earlier.append(key)
        } else {
            earlier[Int.random(in: 0..<200, using: &generator)] = key
        }
        return key
    }

    private mutating func makeKey() -> [UInt8] {
        let relative = earlier[Int.random(in: 0..<earlier.count, using: &generator)]
        let cut = Int.random(in: 0...relative.count, using: &generator)
        switch Int.random(in: 0..<10, using: &generator) {
        case 0: return Array(relative[..<cut])
        case 1, 2:
            return Array(
                (relative + tail(Int.random(in: 1...3, using: &generator)))
                    .prefix(longestSize)
            )
        case 3, 4: return Array(relative[..<cut] + tail(1) + relative.dropFirst(cut + 1))
        case 5:
            return Array(
                ([UInt8](repeating: 7, count: longestSize / 2) + tail(4))
                    .prefix(longestSize)
            )
        case 6: return (0..<16).map { _ in UInt8.random(in: 0...255, using: &generator) }
        case 7:
            let digits = Array(String(Int.random(in: 0..<3_000, using: &generator)).utf8)
            return [UInt8](repeating: 48, count: 16 - digits.count) + digits
        case 8: return relative
        default: return tail(Int.random(in: 0...3, using: &generator))
        }
    }

    /// Bytes, half of them at the ends of the byte's range.
    private mutating func tail(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in
            switch UInt8.random(in: 0..<8, using: &generator) {
            case 0, 1: 0
            case 2: 1
            case 3: 0xff
            case 4: 0x80
            default: UInt8.random(in: 0...255, using: &generator)
            }
        }
    }
}
