/// What survives a crash of what was not synced.
package enum CrashPolicy: Sendable, Hashable {
    /// Nothing.
    case none
    /// Everything, as when only the process dies.
    case all
    /// The first changes, in the order in which they were made.
    case prefix(Int)
    /// Everything, but of the last write only the first bytes; the size is that of the whole write.
    case tornLast(bytes: Int)
    /// Names and sizes, but no bytes: zeros take their place.
    case sizesOnly
    /// Each sector of 512 bytes and each change of size with a probability; of the entries of each
    /// directory, a random prefix of the changes.
    case sectors(keep: Double)
}

extension SimulatedDisk {
    fileprivate static let sectorSize: UInt64 = 512

    /// The disk that is found after a crash now: all that is left is durable.
    func crashed(
        _ policy: CrashPolicy,
        using generator: inout some RandomNumberGenerator
    ) -> SimulatedDisk {
        var image = SimulatedDisk(profile: profile)
        let choice = Choice(policy, of: self)
        for (node, entries) in directories.sorted(by: { $0.key < $1.key }) {
            let limit = choice.entriesLimit(of: entries, using: &generator)
            var kept = SimulatedEntries(parent: entries.parent)
            kept.durable = entries.keeping { $0 < limit }
            kept.cached = kept.durable
            image.directories[node] = kept
        }
        for (node, file) in files.sorted(by: { $0.key < $1.key }) {
            let bytes = survivingBytes(of: file, choice, using: &generator)
            var kept = SimulatedFile(parent: file.parent, creation: -1)
            kept.durable = bytes
            kept.cached = bytes
            image.files[node] = kept
        }
        image.permissions = permissions
        image.forgetUnreachable()
        return image
    }

    /// A policy, with what it needs to know of the whole disk.
    private struct Choice {
        let policy: CrashPolicy
        /// All changes from this index on are lost.
        let limit: Int
        let lastWrite: Int?

        init(_ policy: CrashPolicy, of disk: SimulatedDisk) {
            self.policy = policy
            let pending = disk.pendingIndices
            limit =
                switch policy {
                case .none: 0
                case .prefix(let count) where count < pending.count: pending[count]
                default: disk.position
                }
            lastWrite = disk.files.values.flatMap(\.pending).compactMap { index, change in
                if case .write = change { index } else { nil }
            }.max()
        }

        func entriesLimit(
            of entries: SimulatedEntries,
            using generator: inout some RandomNumberGenerator
        ) -> Int {
            guard case .sectors = policy, !entries.pending.isEmpty else { return limit }
            let count = Int.random(in: 0...entries.pending.count, using: &generator)
            return count < entries.pending.count ? entries.pending[count].index : limit
        }

        /// Whether a change of a file's size is kept.
        func keeps(using generator: inout some RandomNumberGenerator) -> Bool {
            guard case .sectors(let probability) = policy else { return true }
            return Double.random(in: 0..<1, using: &generator) < probability
        }

        /// Writes what survives of a write.
        func write(
            _ bytes: [UInt8],
            at offset: UInt64,
            _ index: Int,
            to file: inout SimulatedBytes,
            using generator: inout some RandomNumberGenerator
        ) {
            switch policy {
            case .sizesOnly: break
            case .tornLast(let count) where index == lastWrite:
                file.write(bytes.prefix(count), at: offset)
            case .sectors:
                var start = 0
                while start < bytes.count {
                    // Sectors are aligned to the file, not to the write.
                    let place = offset + UInt64(start)
                    let rest = Int(SimulatedDisk.sectorSize - place % SimulatedDisk.sectorSize)
                    let end = min(start + rest, bytes.count)
                    if keeps(using: &generator) { file.write(bytes[start..<end], at: place) }
                    start = end
                }
            default: file.write(bytes[...], at: offset)
            }
        }
    }

    private func survivingBytes(
        of file: SimulatedFile,
        _ choice: Choice,
        using generator: inout some RandomNumberGenerator
    ) -> SimulatedBytes {
        if choice.policy == .all { return file.cached }
        var bytes = file.durable
        // Sectors may survive without the size that covers them; then nobody can see them.
        var size = bytes.size
        for (index, change) in file.pending where index < choice.limit {
            let isKept = choice.keeps(using: &generator)
            switch change {
            case .write(let written, let offset):
                if isKept { size = max(size, offset + UInt64(written.count)) }
                choice.write(written, at: offset, index, to: &bytes, using: &generator)
            case .resize(let newSize):
                guard isKept else { continue }
                size = newSize
                bytes.resize(to: min(newSize, bytes.size))
            case .extend(let newSize):
                if isKept { size = max(size, newSize) }
            }
        }
        bytes.resize(to: size)
        return bytes
    }

    /// Removes what has no name, as a file system does when it is mounted again.
    private mutating func forgetUnreachable() {
        var reachable: Set<Int> = []
        var waiting = [Self.root]
        while let node = waiting.popLast() {
            reachable.insert(node)
            waiting += directories[node]?.durable.values.sorted() ?? []
        }
        files = files.filter { reachable.contains($0.key) }
        directories = directories.filter { reachable.contains($0.key) }
        permissions = permissions.filter { reachable.contains($0.key) }
    }
}
