/// The live segments, by level.
///
/// Level 0 holds what was flushed, the newest first; its segments may overlap. Each other level is
/// sorted by key, without overlap. For one key, every version in a segment or level is newer than
/// those behind it.
///
/// Thread safety: immutable.
package final class Version: Sendable {
    package let levels: [[Segment]]

    /// The range tombstones of all segments.
    let rangeTombstones: RangeTombstones
    /// The greatest sequence of an entry or range tombstone.
    let maxSequence: UInt64

    package init(levels: [[Segment]]) {
        self.levels = levels
        let segments = levels.joined()
        let sets = segments.map(\.rangeTombstones).filter { !$0.isEmpty }
        rangeTombstones = sets.isEmpty ? .none : RangeTombstones(merging: sets)
        maxSequence = segments.map(\.info.maxSequence).max() ?? 0
    }

    package static let empty = Version(levels: [])

    /// All segments.
    package var segments: [Segment] { levels.flatMap { $0 } }

    /// Finds the newest version of a key at or below a sequence, unless a range tombstone hides it.
    func find(
        _ key: UnsafeRawBufferPointer,
        at sequence: UInt64,
        _ access: Segment.Access
    ) throws(EngineError) -> Segment.Lookup {
        let lookup = try findPoint(key, at: sequence, access)
        guard !rangeTombstones.isEmpty, case .found(let found) = lookup,
            found.sequence < rangeTombstones.newest(covering: key, at: sequence)
        else { return lookup }
        return .absent
    }

    private func findPoint(
        _ key: UnsafeRawBufferPointer,
        at sequence: UInt64,
        _ access: Segment.Access
    ) throws(EngineError) -> Segment.Lookup {
        let hash = Checksum.xxh3(key)
        for (number, level) in levels.enumerated() {
            if number == 0 {
                for segment in level where segment.spans(key) {
                    let lookup = try segment.find(key, hash: hash, at: sequence, access)
                    if case .absent = lookup { continue }
                    return lookup
                }
                continue
            }
            let place = level.first(reaching: key)
            guard place < level.count, level[place].spans(key) else { continue }
            let lookup = try level[place].find(key, hash: hash, at: sequence, access)
            if case .absent = lookup { continue }
            return lookup
        }
        return .absent
    }
}
