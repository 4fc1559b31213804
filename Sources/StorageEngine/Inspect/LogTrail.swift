/// Log hashes at some of a log's sequences: where two logs can be compared. The same sequences are
/// taken of every log, so that two of them have many in common, and no more of them than memory is
/// meant for.
///
/// Thread safety: a value.
struct LogTrail: Sendable {
    private(set) var hashes: [UInt64: UInt64] = [:]
    /// The last record that was noted.
    private(set) var last: UInt64 = 0
    /// Only sequences whose mark ends with this many zeros are kept.
    private var zeros = 0

    private static let countMax = 1 << 16

    /// Notes a hash that is known whether or not its record can be read.
    mutating func pin(_ sequence: UInt64, _ hash: UInt64) {
        if sequence > 0 { hashes[sequence] = hash }
    }

    /// Notes the hash with a record.
    mutating func note(_ sequence: UInt64, _ hash: UInt64) {
        last = sequence
        guard Self.zeros(of: sequence) >= zeros else { return }
        hashes[sequence] = hash
        while hashes.count > Self.countMax, zeros < 64 {
            zeros += 1
            hashes = hashes.filter { Self.zeros(of: $0.key) >= zeros }
        }
    }

    /// Spread evenly, however sequences are given out.
    private static func zeros(of sequence: UInt64) -> Int {
        (sequence &* 0x9e37_79b9_7f4a_7c15).byteSwapped.trailingZeroBitCount
    }

    /// Where two logs are known to agree last, and to differ first.
    struct Comparison: Hashable, Sendable {
        /// The greatest sequence with the same hash in both, before the first that has not.
        var agreesThrough: UInt64?
        /// The least sequence with another hash.
        var differsFrom: UInt64?
    }

    func compare(_ other: LogTrail, through end: UInt64) -> Comparison {
        var found = Comparison()
        for sequence in hashes.keys.sorted() where sequence <= end {
            guard let hash = other.hashes[sequence] else { continue }
            guard hash == hashes[sequence] else {
                found.differsFrom = sequence
                return found
            }
            found.agreesThrough = sequence
        }
        return found
    }
}

/// All hashes of a log within bounds, as long as there are not too many.
struct LogWindow: Sendable {
    let range: ClosedRange<UInt64>
    private(set) var hashes: [(sequence: UInt64, hash: UInt64)] = []
    private(set) var isComplete = true

    private static let countMax = 1 << 18

    init(_ range: ClosedRange<UInt64>) { self.range = range }

    mutating func note(_ sequence: UInt64, _ hash: UInt64) {
        guard range.contains(sequence) else { return }
        guard hashes.count < Self.countMax else {
            isComplete = false
            return
        }
        hashes.append((sequence, hash))
    }

    /// The records behind one sequence and up to another.
    func part(behind start: UInt64, through end: UInt64) -> LogWindow {
        var part = self
        part.hashes = hashes.filter { $0.sequence > start && $0.sequence <= end }
        return part
    }

    /// The first sequence at which two logs differ, of which both have every record within the
    /// bounds; `nil` for none, or when that cannot be told.
    func firstDifference(from other: LogWindow) -> UInt64? {
        guard isComplete, other.isComplete else { return nil }
        for (left, right) in zip(hashes, other.hashes) where left != right {
            return min(left.sequence, right.sequence)
        }
        let common = min(hashes.count, other.hashes.count)
        return (hashes.dropFirst(common) + other.hashes.dropFirst(common)).first?.sequence
    }
}
