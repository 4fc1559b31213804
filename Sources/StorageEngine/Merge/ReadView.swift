internal import Synchronization

/// Everything that is readable, at one moment: indexes and segments, the newest first.
///
/// Thread safety: constant, but for whether it was replaced; what comes into the active index later
/// is newer than what readers of the view may see.
final class ReadView: Sendable {
    let active: MemoryIndex
    /// Full indexes that wait to be flushed, the newest first.
    let sealed: [MemoryIndex]
    let version: Version
    private let replaced = Atomic(false)

    init(active: MemoryIndex, sealed: [MemoryIndex], version: Version) {
        self.active = active
        self.sealed = sealed
        self.version = version
    }

    /// The indexes, the newest first.
    var indexes: [MemoryIndex] { [active] + sealed }

    /// Whether a newer view has taken this one's place.
    var isReplaced: Bool { replaced.load(ordering: .relaxed) }
    func noteReplaced() { replaced.store(true, ordering: .relaxed) }

    /// All range tombstones, those of the active index as they are now.
    var rangeTombstones: RangeTombstones {
        let sets = indexes.map(\.rangeTombstones) + [version.rangeTombstones]
        let filled = sets.filter { !$0.isEmpty }
        return filled.count == 1 ? filled[0] : RangeTombstones(merging: filled)
    }

    /// The greatest sequence of a version, as far as it is known without looking: a newer range
    /// tombstone hides all in its range.
    var lastVersionSequence: UInt64 {
        var last = version.maxSequence
        for index in indexes { last = max(last, index.lastVersionSequence) }
        return last
    }

    /// Finds the newest version of a key at or below a sequence behind the active index.
    ///
    /// What is older than a range tombstone lies in the same index as that or behind it: a lookup
    /// that meets one ends.
    func findBehindActive(
        _ key: UnsafeRawBufferPointer,
        at sequence: UInt64,
        _ access: Segment.Access
    ) throws(EngineError) -> Segment.Lookup {
        for index in sealed {
            let found = index.find(key, at: sequence)
            if let version = found.version { return .found(Segment.Found(version)) }
            if found.rangeTombstone > 0 { return .absent }
        }
        return try version.find(key, at: sequence, access)
    }
}

extension Segment.Found {
    /// What an index holds: valid as long as the view.
    init(_ version: IndexVersion) {
        self.init(
            sequence: version.sequence,
            flags: version.isTombstone ? VersionFlags.tombstone : 0,
            value: version.value,
            owner: nil
        )
    }
}
