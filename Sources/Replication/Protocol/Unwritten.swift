import StorageEngine

/// What a follower has taken and its host has not written yet. It is all in memory, so it is what
/// bounds how much more may come; a new session does not end it.
///
/// Thread safety: none; a value.
struct Unwritten: Sendable {
    /// The bytes of all of it.
    private(set) var size: UInt64 = 0
    /// The sequences that end packs, and their sizes.
    private var packs: [(last: UInt64, size: UInt64)] = []
    /// Parts of copies, in the order in which they came.
    private var parts: [CopyPart] = []

    var hasParts: Bool { !parts.isEmpty }

    mutating func add(_ pack: Pack) {
        size &+= pack.size
        packs.append((pack.last, pack.size))
    }

    mutating func add(_ part: CopyPart) {
        size &+= part.size
        parts.append(part)
    }

    /// The log is written up to a sequence.
    mutating func wrote(through sequence: UInt64) {
        let written = packs.prefix { $0.last <= sequence }
        for pack in written { size &-= pack.size }
        packs.removeFirst(written.count)
    }

    /// Packs of a log that was replaced are not written any more.
    mutating func forgetPacks() {
        for pack in packs { size &-= pack.size }
        packs = []
    }

    /// A part is written, or was not wanted any more.
    mutating func stored(_ part: CopyPart) {
        guard let index = parts.firstIndex(of: part) else { return }
        size &-= parts[index].size
        parts.remove(at: index)
    }
}
