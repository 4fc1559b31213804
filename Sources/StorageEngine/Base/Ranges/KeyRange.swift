/// A range of keys: from a lower bound, which belongs to it, up to an upper one, which does not.
///
/// A range whose lower bound is not below its upper one holds no keys.
public struct KeyRange: Sendable, Hashable {
    /// The least key; empty for no bound.
    public let lower: [UInt8]
    /// The key behind the last one; `nil` for no bound.
    public let upper: [UInt8]?

    /// All keys.
    public static let all = KeyRange()

    /// A range between two keys.
    ///
    /// - Parameters:
    ///   - lower: The least key; empty for no bound.
    ///   - upper: The key behind the last one; `nil` for no bound.
    public init(from lower: [UInt8] = [], to upper: [UInt8]? = nil) {
        self.lower = lower
        self.upper = upper
    }

    /// All keys that begin with a prefix.
    public init(prefix: [UInt8]) {
        lower = prefix
        // The least key above all of them: the prefix, its last byte that is not 0xff raised.
        var upper = prefix
        while upper.last == 0xff { upper.removeLast() }
        if upper.isEmpty {
            self.upper = nil
        } else {
            upper[upper.count - 1] += 1
            self.upper = upper
        }
    }
}

extension KeyRange {
    /// Whether the range holds no keys.
    package var isEmpty: Bool {
        guard let upper else { return false }
        return lower.withUnsafeBytes { lower in upper.withUnsafeBytes { !lower.precedes($0) } }
    }

    package func contains(_ key: UnsafeRawBufferPointer) -> Bool {
        if lower.withUnsafeBytes({ key.precedes($0) }) { return false }
        return upper?.withUnsafeBytes { key.precedes($0) } ?? true
    }

    package func contains(_ key: [UInt8]) -> Bool { key.withUnsafeBytes { contains($0) } }

    /// The keys that both ranges hold; it may be empty.
    package func intersection(_ other: KeyRange) -> KeyRange {
        let lowerIsGreater = lower.withUnsafeBytes { own in
            other.lower.withUnsafeBytes { $0.precedes(own) }
        }
        return KeyRange(
            from: lowerIsGreater ? lower : other.lower,
            to: Self.lesser(upper, other.upper)
        )
    }

    /// The lesser of two upper bounds; `nil` is behind all keys.
    private static func lesser(_ left: [UInt8]?, _ right: [UInt8]?) -> [UInt8]? {
        guard let left else { return right }
        guard let right else { return left }
        return left.withUnsafeBytes { own in
            right.withUnsafeBytes { $0.precedes(own) ? right : left }
        }
    }
}
