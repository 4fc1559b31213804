/// A segment and the level it is in.
package struct LevelSegment: Hashable, Sendable {
    package var level: Int
    package var info: SegmentInfo

    package init(level: Int, info: SegmentInfo) {
        self.level = level
        self.info = info
    }
}

/// Where a segment is: its level and its number.
package struct SegmentPlace: Hashable, Sendable {
    package var level: Int
    package var number: UInt64

    package init(level: Int, number: UInt64) {
        self.level = level
        self.number = number
    }
}

/// A place in the log up to which every record is in a segment.
package struct FlushMark: Hashable, Sendable {
    package var epoch: Epoch
    package var sequence: UInt64
    /// The log hash with the record of that sequence.
    package var logHash: UInt64

    package init(epoch: Epoch, sequence: UInt64, logHash: UInt64) {
        self.epoch = epoch
        self.sequence = sequence
        self.logHash = logHash
    }

    /// Before the first record.
    package static let start = FlushMark(epoch: .none, sequence: 0, logHash: 0)
}

/// A change of what the store consists of: it takes effect as a whole or not at all.
///
/// ``ManifestState/apply(_:)`` says what an edit must fulfil, `ManifestFormat.swift` specifies the
/// bytes.
package struct VersionEdit: Hashable, Sendable {
    package var added: [LevelSegment] = []
    /// Removed before ``added`` is added: a segment that changes its level is in both.
    package var removed: [SegmentPlace] = []
    package var flushed: FlushMark?
    /// The end of the last log file that is not needed any more: reading starts in the next one.
    package var logStart: LogEnd?
    /// New entries of the epoch table, the newest last.
    package var epochs: [EpochEntry] = []
    /// The highest sequence of a tombstone that a compaction has dropped.
    package var deltaHorizon: UInt64?
    /// The numbers below this one were given out, and are never given out again.
    package var nextSegmentNumber: UInt64?

    package init() {}

    /// The same edit as several of bounded size, to be applied one after the other; it may have no
    /// more than additions in large number.
    func split(sizeMax: Int) -> [VersionEdit] {
        var parts: [VersionEdit] = []
        var part = self
        part.added = []
        var size = 0
        for segment in added {
            // The numbers of a segment take less than the constant.
            let segmentSize = segment.info.smallest.count + segment.info.largest.count + 128
            if size + segmentSize > sizeMax, !part.added.isEmpty {
                parts.append(part)
                part = VersionEdit()
                size = 0
            }
            part.added.append(segment)
            size += segmentSize
        }
        return parts + [part]
    }
}
