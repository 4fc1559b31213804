import StorageEngineTestSupport

@testable import StorageEngine

/// Short keys over few bytes, so that ranges meet in every way.
enum SmallKeys {
    private static let bytes: [UInt8] = [0, 1, 0xff]

    /// All keys up to a size, in order.
    static func all(upTo size: Int) -> [[UInt8]] {
        var keys: [[UInt8]] = [[]]
        var longest = keys
        for _ in 0..<size {
            longest = longest.flatMap { key in bytes.map { key + [$0] } }
            keys += longest
        }
        return keys.sorted { $0.lexicographicallyPrecedes($1) }
    }

    static func random(using generator: inout SeededGenerator) -> [UInt8] {
        (0..<Int.random(in: 0...3, using: &generator)).map { _ in
            bytes.randomElement(using: &generator) ?? 0
        }
    }

    /// A range, which may be empty.
    static func randomRange(using generator: inout SeededGenerator) -> KeyRange {
        let lower = random(using: &generator)
        let isUnbounded = Int.random(in: 0..<6, using: &generator) == 0
        return KeyRange(from: lower, to: isUnbounded ? nil : random(using: &generator))
    }
}

/// Range tombstones the plain way: a list.
struct RangeModel {
    var tombstones: [RangeTombstone] = []

    func newest(covering key: [UInt8], at sequence: UInt64) -> UInt64 {
        tombstones.filter { $0.sequence <= sequence && $0.range.contains(key) }
            .map(\.sequence).max() ?? 0
    }

    static func random(_ count: Int, using generator: inout SeededGenerator) -> RangeModel {
        RangeModel(
            tombstones: (0..<count).map { _ in
                RangeTombstone(
                    SmallKeys.randomRange(using: &generator),
                    sequence: .random(in: 1...12, using: &generator)
                )
            }
        )
    }
}

extension RangeModel {
    /// Where a set answers otherwise, for some keys and readers; `nil` when it is right. (A million
    /// expectations would take minutes.)
    func difference(
        to set: RangeTombstones,
        _ keys: [[UInt8]],
        at readers: [UInt64]
    ) -> String? {
        for key in keys {
            for reader in readers
            where set.newest(covering: key, at: reader) != newest(covering: key, at: reader) {
                return "\(key) at \(reader)"
            }
        }
        return nil
    }
}

extension RangeTombstones {
    func newest(covering key: [UInt8], at sequence: UInt64) -> UInt64 {
        key.withUnsafeBytes { newest(covering: $0, at: sequence) }
    }

    func sawNewer(_ key: [UInt8], than sequence: UInt64) -> Bool {
        key.withUnsafeBytes { cover(of: $0, at: sequence).sawNewer }
    }

    /// Whether fragments are in order, do not overlap, and none could be part of the one before.
    var isFragmented: Bool {
        let all = fragments
        let areWhole = all.allSatisfy { fragment in
            !KeyRange(from: fragment.lower, to: fragment.upper).isEmpty
                && !fragment.sequences.isEmpty
                && zip(fragment.sequences, fragment.sequences.dropFirst()).allSatisfy { $0 > $1 }
        }
        return areWhole
            && zip(all, all.dropFirst()).allSatisfy { left, right in
                guard let end = left.upper else { return false }
                if end == right.lower { return left.sequences != right.sequences }
                return end.lexicographicallyPrecedes(right.lower)
            }
    }
}
