/// The live segments, by level.
///
/// Level 0 holds what was flushed, the newest first; its segments may overlap. Each other level is
/// sorted by key, without overlap. For one key, every version in a segment or level is newer than
/// those behind it.
///
/// Thread safety: immutable.
package final class Version: Sendable {
    package let levels: [[Segment]]

    package init(levels: [[Segment]]) { self.levels = levels }

    package static let empty = Version(levels: [])

    /// All segments.
    package var segments: [Segment] { levels.flatMap { $0 } }
    package var isEmpty: Bool { levels.allSatisfy(\.isEmpty) }

    /// Finds the newest version of a key at or below a sequence.
    func find(
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
