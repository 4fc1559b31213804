/// Which versions of a key must be kept: the newest one, and of the others those that a registered
/// sequence sees; none that a range tombstone hides from all who could see it. Sequences that are
/// registered later are above every version that is judged.
///
/// Thread safety: none; a value.
struct VersionRetention: Sendable {
    /// The registered sequences, ascending.
    private let registered: [UInt64]
    private let ranges: RangeTombstones
    /// The sequence of the version before, which is newer; `nil` at the first of a key.
    private var newer: UInt64?

    init(registered: [UInt64], ranges: RangeTombstones) {
        self.registered = registered
        self.ranges = ranges
    }

    /// Goes on to another key.
    mutating func beginKey() { newer = nil }

    /// Judges the next version of a key; they come newest first.
    mutating func keeps(_ sequence: UInt64, of key: UnsafeRawBufferPointer) -> Bool {
        defer { newer = sequence }
        if newer == nil, isSeen(sequence, key, by: .max) { return true }
        guard let reader = firstRegistered(from: sequence), reader < newer ?? .max else {
            return false
        }
        // Should a range tombstone hide it from this one, then from those above it as well.
        return isSeen(sequence, key, by: reader)
    }

    private func isSeen(
        _ sequence: UInt64,
        _ key: UnsafeRawBufferPointer,
        by reader: UInt64
    ) -> Bool {
        ranges.isEmpty || ranges.newest(covering: key, at: reader) <= sequence
    }

    private func firstRegistered(from start: UInt64) -> UInt64? {
        var low = 0
        var high = registered.count
        while low < high {
            let middle = (low + high) / 2
            if registered[middle] < start { low = middle + 1 } else { high = middle }
        }
        return low < registered.count ? registered[low] : nil
    }
}
