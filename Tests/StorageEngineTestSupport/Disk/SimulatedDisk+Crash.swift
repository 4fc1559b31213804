extension SimulatedDisk {
    /// The disk that is found after a crash now: all that is left is durable.
    func crashed(
        _ policy: CrashPolicy,
        using generator: inout some RandomNumberGenerator
    ) -> SimulatedDisk {
        var image = SimulatedDisk(profile: profile)
        let choice = CrashChoice(policy, of: self)
        for (node, entries) in directories.sorted(by: { $0.key < $1.key }) {
            var kept = SimulatedEntries(parent: entries.parent)
            kept.durable = choice.entries(of: entries, using: &generator)
            kept.cached = kept.durable
            image.directories[node] = kept
        }
        for (node, file) in files.sorted(by: { $0.key < $1.key }) {
            let bytes = choice.bytes(of: file, node, in: self, using: &generator)
            var kept = SimulatedFile(parent: file.parent, creation: -1)
            kept.durable = bytes
            kept.cached = bytes
            image.files[node] = kept
        }
        image.permissions = permissions
        image.forgetUnreachable()
        return image
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

    /// Bytes that blocks of a range may have held before: those of another file, or noise.
    fileprivate func staleBytes(
        _ range: Range<UInt64>,
        besides node: Int,
        using generator: inout some RandomNumberGenerator
    ) -> [UInt8] {
        let others = files.sorted { $0.key < $1.key }.filter {
            $0.key != node && $0.value.cached.size > range.lowerBound
        }
        let found = others.randomElement(using: &generator)?.value.cached.read(range) ?? []
        return found
            + (found.count..<range.count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }
}

/// A policy, with what it needs to know of the whole disk.
private struct CrashChoice {
    let policy: CrashPolicy
    let profile: SimulatedProfile
    /// All changes from this index on are lost.
    let limit: Int
    /// The write that is torn.
    let tornWrite: Int?

    init(_ policy: CrashPolicy, of disk: SimulatedDisk) {
        self.policy = policy
        profile = disk.profile
        switch policy {
        case .none:
            (limit, tornWrite) = (0, nil)
        case .prefix(let count):
            let pending = disk.pendingIndices
            (limit, tornWrite) = (count < pending.count ? pending[count] : disk.position, nil)
        case .torn(let back, _, _):
            let writes = disk.files.values.flatMap(\.pending).compactMap { index, change in
                if case .write = change { index } else { nil }
            }.sorted()
            let place = max(0, writes.count - 1 - back)
            tornWrite = place < writes.count ? writes[place] : nil
            limit = tornWrite.map { $0 + 1 } ?? disk.position
        default:
            (limit, tornWrite) = (disk.position, nil)
        }
    }

    // MARK: - Entries

    func entries(
        of entries: SimulatedEntries,
        using generator: inout some RandomNumberGenerator
    ) -> [String: Int] {
        let pending = entries.pending
        guard !pending.isEmpty else { return entries.durable }
        switch policy {
        case .sectors:
            let count = Int.random(in: 0...pending.count, using: &generator)
            return entries.keeping(first: count)
        case .entriesPrefix(let count, _):
            return entries.keeping(first: count)
        case .entries(let probability, _):
            if profile == .ext4 {
                let count = Int.random(in: 0...pending.count, using: &generator)
                return entries.keeping(first: count)
            }
            let kept = pending.indices.filter { _ in
                Double.random(in: 0..<1, using: &generator) < probability
            }
            return entries.keeping(kept)
        default:
            return entries.keeping(first: pending.count { $0.index < limit })
        }
    }

    // MARK: - Bytes

    func bytes(
        of file: SimulatedFile,
        _ node: Int,
        in disk: SimulatedDisk,
        using generator: inout some RandomNumberGenerator
    ) -> SimulatedBytes {
        switch policy {
        case .all, .entriesPrefix(_, .kept), .entries(_, .kept): return file.cached
        case .none, .entriesPrefix(_, .lost), .entries(_, .lost): return file.durable
        default: break
        }
        var bytes = file.durable
        // Sectors may survive without the size that covers them; then nobody can see them.
        var size = bytes.size
        for (index, change) in file.pending where index < limit {
            let isKept = keeps(using: &generator)
            switch change {
            case .write(let written, let offset):
                if isKept { size = max(size, offset + UInt64(written.count)) }
                if index == tornWrite {
                    tear(written, at: offset, node, in: disk, of: &bytes, using: &generator)
                } else {
                    write(written, at: offset, to: &bytes, using: &generator)
                }
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

    /// Whether a change of a file's size, or a sector, is kept.
    private func keeps(using generator: inout some RandomNumberGenerator) -> Bool {
        guard case .sectors(let probability, _) = policy else { return true }
        return Double.random(in: 0..<1, using: &generator) < probability
    }

    /// Writes what survives of a write.
    private func write(
        _ bytes: [UInt8],
        at offset: UInt64,
        to file: inout SimulatedBytes,
        using generator: inout some RandomNumberGenerator
    ) {
        switch policy {
        case .sizesOnly: break
        case .sectors(_, let sectorSize):
            var start = 0
            while start < bytes.count {
                // Sectors are aligned to the file, not to the write.
                let place = offset + UInt64(start)
                let rest = Int(sectorSize.rawValue - place % sectorSize.rawValue)
                let end = min(start + rest, bytes.count)
                if keeps(using: &generator) { file.write(bytes[start..<end], at: place) }
                start = end
            }
        default: file.write(bytes[...], at: offset)
        }
    }

    /// Writes the first bytes of a write, and puts something else where the others belong.
    private func tear(
        _ bytes: [UInt8],
        at offset: UInt64,
        _ node: Int,
        in disk: SimulatedDisk,
        of file: inout SimulatedBytes,
        using generator: inout some RandomNumberGenerator
    ) {
        guard case .torn(_, let count, let rest) = policy else { return }
        let done = min(count, bytes.count)
        file.write(bytes[..<done], at: offset)
        let missing = offset + UInt64(done)..<offset + UInt64(bytes.count)
        switch rest {
        case .old: break
        case .zeros:
            file.write([UInt8](repeating: 0, count: missing.count)[...], at: missing.lowerBound)
        case .stale:
            let stale = disk.staleBytes(missing, besides: node, using: &generator)
            file.write(stale[...], at: missing.lowerBound)
        }
    }
}
