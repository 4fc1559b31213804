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

    /// Whether a newer view has taken this one's place.
    var isReplaced: Bool { replaced.load(ordering: .relaxed) }
    func noteReplaced() { replaced.store(true, ordering: .relaxed) }

    /// Finds the newest version of a key at or below a sequence behind the active index.
    func findBehindActive(
        _ key: UnsafeRawBufferPointer,
        at sequence: UInt64,
        _ access: Segment.Access
    ) throws(EngineError) -> Segment.Lookup {
        for index in sealed {
            guard let version = index.find(key, at: sequence).version else { continue }
            return .found(Segment.Found(version))
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
