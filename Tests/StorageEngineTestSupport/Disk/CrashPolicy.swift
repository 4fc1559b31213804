/// What survives a crash of what was not synced.
package enum CrashPolicy: Sendable, Hashable {
    /// Nothing.
    case none
    /// Everything, as when only the process dies.
    case all
    /// The first changes, in the order in which they were made.
    case prefix(Int)
    /// What came before one write, and of that write the first bytes; the size is that of the whole
    /// write. The write is counted back from the last one that is pending.
    case torn(back: Int, bytes: Int, rest: Rest)
    /// Names and sizes, but no bytes: zeros take their place.
    case sizesOnly
    /// Each sector and each change of size with a probability; of the entries of each directory, a
    /// random prefix of the changes.
    case sectors(keep: Double, size: SectorSize)
    /// The first changes of each directory, with all bytes of files or with none.
    case entriesPrefix(Int, Bytes)
    /// Each change of a directory with a probability, so that a name may go before the one that
    /// replaces it is there; with all bytes of files or with none. Where entries are journaled in
    /// order (ext4) it is a random prefix.
    case entries(keep: Double, Bytes)

    /// What lies where a torn write did not get to.
    package enum Rest: String, Sendable, CaseIterable {
        /// What was there before.
        case old
        case zeros
        /// What another file has there, or noise: blocks that were used before.
        case stale
    }

    /// What a disk writes as one, in bytes.
    package enum SectorSize: UInt64, Sendable, CaseIterable {
        case sector = 512
        case page = 4096
    }

    /// What becomes of the bytes of files, where names are looked at.
    package enum Bytes: String, Sendable, CaseIterable {
        case kept, lost
    }

    /// Everything, but of the last write only the first bytes, over what was there.
    package static func tornLast(bytes: Int) -> CrashPolicy {
        .torn(back: 0, bytes: bytes, rest: .old)
    }

    /// Sectors of 512 bytes.
    package static func sectors(keep: Double) -> CrashPolicy {
        .sectors(keep: keep, size: .sector)
    }

    /// The name in counts: policies that differ in their numbers alone share it.
    package var name: String {
        switch self {
        case .none: "none"
        case .all: "all"
        case .prefix: "prefix"
        case .torn(_, _, let rest): "torn, \(rest.rawValue)"
        case .sizesOnly: "sizes without data"
        case .sectors(_, let size): "subset by \(size.rawValue)"
        case .entriesPrefix(_, let bytes): "names prefix, data \(bytes.rawValue)"
        case .entries(_, let bytes): "names subset, data \(bytes.rawValue)"
        }
    }

    /// One policy of every name, in a fixed order, with random numbers.
    package static func each(using generator: inout SeededGenerator) -> [CrashPolicy] {
        (0..<kindCount).map { make($0, using: &generator) }
    }

    /// A policy of a random name.
    package static func random(using generator: inout SeededGenerator) -> CrashPolicy {
        make(.random(in: 0..<kindCount, using: &generator), using: &generator)
    }

    private static let kindCount = 13

    private static func make(_ kind: Int, using generator: inout SeededGenerator) -> CrashPolicy {
        let count = Int.random(in: 0...6, using: &generator)
        // Often a few bytes, which cut headers; sometimes many.
        let bytes = Int.random(in: 0...(count < 5 ? 120 : 5000), using: &generator)
        let probability = Double.random(in: 0...1, using: &generator)
        switch kind {
        case 0: return .none
        case 1: return .all
        case 2: return .prefix(count)
        case 3: return .torn(back: count / 2, bytes: bytes, rest: .old)
        case 4: return .torn(back: count / 2, bytes: bytes, rest: .zeros)
        case 5: return .torn(back: count / 2, bytes: bytes, rest: .stale)
        case 6: return .sizesOnly
        case 7: return .sectors(keep: probability, size: .sector)
        case 8: return .sectors(keep: probability, size: .page)
        case 9: return .entriesPrefix(count, .kept)
        case 10: return .entriesPrefix(count, .lost)
        case 11: return .entries(keep: probability, .kept)
        default: return .entries(keep: probability, .lost)
        }
    }
}
