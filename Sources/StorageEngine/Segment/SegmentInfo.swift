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

    package init(number: UInt64) { self.number = number }

    /// Counts an entry.
    mutating func note(_ entry: SegmentEntry) {
        entryCount += 1
        if entry.isTombstone { tombstoneCount += 1 }
        minSequence = min(minSequence, entry.sequence)
        maxSequence = max(maxSequence, entry.sequence)
        rawBytes += UInt64(entry.key.count + entry.value.count)
    }
}
