/// What the manifest says of a segment file: enough to choose it for reads and compactions, and to
/// notice when another file lies in its place.
package struct SegmentInfo: Hashable, Sendable {
    /// The file's number; never used again for another segment.
    package var number: UInt64
    /// The file's size in bytes.
    package var size: UInt64 = 0
    /// XXH3-64 of all bytes before the footer; the footer repeats it.
    package var checksum: UInt64 = 0
    /// The least and the greatest key, those of range tombstones included.
    package var smallest: [UInt8] = []
    package var largest: [UInt8] = []
    /// Whether ``largest`` is the end of a range tombstone, and so lies behind the segment.
    package var excludesLargest = false
    /// The bounds of the sequences of all entries.
    package var minSequence: UInt64 = 0
    package var maxSequence: UInt64 = 0
    /// How many versions the segment holds, how many of them are tombstones, and how many range
    /// tombstones there are besides.
    package var entryCount: UInt64 = 0
    package var tombstoneCount: UInt64 = 0
    package var rangeTombstoneCount: UInt64 = 0
    /// Bytes of keys and values, uncompressed.
    package var rawBytes: UInt64 = 0
    /// How many keys have versions here.
    package var keyCount: UInt64 = 0

    package init(number: UInt64) { self.number = number }

    /// How many versions are tombstones, or have a newer one of their key here; about.
    package var deadCount: UInt64 {
        min(entryCount, entryCount - min(keyCount, entryCount) + tombstoneCount)
    }

    /// Whether the segment ends before a key.
    package func ends(before key: UnsafeRawBufferPointer) -> Bool {
        largest.withUnsafeBytes { largest in
            excludesLargest ? !key.precedes(largest) : largest.precedes(key)
        }
    }

    /// Whether a key of the segment may lie in a range.
    package func touches(_ range: KeyRange) -> Bool {
        let isBehind = range.upper.map { !smallest.lexicographicallyPrecedes($0) } ?? false
        return !isBehind && !range.lower.withUnsafeBytes { ends(before: $0) }
    }

    /// Whether the segment ends before another one begins.
    package func ends(before other: SegmentInfo) -> Bool {
        other.smallest.withUnsafeBytes { ends(before: $0) }
    }

    /// Counts range tombstones, and widens the bounds to hold them.
    mutating func note(_ ranges: RangeTombstones) {
        let fragments = ranges.fragments
        guard let first = fragments.first, let last = fragments.last else { return }
        if entryCount == 0 || first.lower.lexicographicallyPrecedes(smallest) {
            smallest = first.lower
        }
        // Keys without end: no key is behind the greatest there can be.
        let end = last.upper ?? [UInt8](repeating: 0xff, count: Limits.keySize)
        if entryCount == 0 || largest.lexicographicallyPrecedes(end) {
            largest = end
            excludesLargest = last.upper != nil
        }
        for fragment in fragments {
            rangeTombstoneCount += UInt64(fragment.sequences.count)
            minSequence = min(minSequence, fragment.sequences.last ?? .max)
            maxSequence = max(maxSequence, fragment.sequences.first ?? 0)
        }
    }

    /// Counts an entry; `isNewKey`: whether the one before has another key.
    mutating func note(_ entry: SegmentEntry, isNewKey: Bool) {
        entryCount += 1
        if isNewKey { keyCount += 1 }
        if entry.isTombstone { tombstoneCount += 1 }
        minSequence = min(minSequence, entry.sequence)
        maxSequence = max(maxSequence, entry.sequence)
        rawBytes += UInt64(entry.key.count + entry.value.count)
    }
}
