// What a simulated disk holds, and what of it would survive a crash.
//
// Every file has the bytes that programs see (cached) and those on the medium (durable), and the
// list of changes between the two (pending); every directory likewise has its entries. An operation
// changes the cached side and is pending until a sync. All pending changes carry the index of their
// operation in the trace, which orders them across files and directories.
//
// (1) Syncing a file makes its bytes and its size durable, not its name (POSIX). In the ext4
//     profile it also makes the creation of the name durable, with what came before in that
//     directory.
// (2) Syncing a directory makes its entries durable, not what they name.
// (3) A failed sync of a file drops its pending changes: no later sync writes them. Programs go on
//     seeing the bytes (ext4, XFS), or see the old ones again (Btrfs).

/// Which promises a simulated disk keeps beyond POSIX.
package enum SimulatedProfile: Sendable, CaseIterable {
    /// Syncing a file says nothing about its name.
    case strict
    /// Syncing a new file makes its name durable as well.
    case ext4
}

/// The two states of a simulated disk.
package enum SimulatedView: Sendable {
    /// What is left when power fails now and nothing but what was synced survives.
    case durable
    /// What programs see now.
    case cached
}

/// A change of a simulated disk, or a sync. Files and directories are numbered; 0 is the root.
package enum SimulatedOperation: Sendable, Hashable {
    case makeDirectory(node: Int, parent: Int, name: String)
    case create(node: Int, parent: Int, name: String)
    case write(node: Int, offset: UInt64, bytes: [UInt8])
    case truncate(node: Int, size: UInt64)
    case allocate(node: Int, size: UInt64)
    case rename(directory: Int, source: String, target: String)
    case link(node: Int, directory: Int, name: String)
    case unlink(directory: Int, name: String)
    case removeDirectory(parent: Int, name: String)
    case sync(node: Int)
    case failedSync(node: Int, reverts: Bool)
    case syncDirectory(node: Int)
}

struct SimulatedDisk: Sendable {
    static let root = 0

    let profile: SimulatedProfile
    /// The index that the next operation gets in the trace.
    private(set) var position: Int
    /// Never iterated unsorted: nothing observable may depend on the order of a dictionary.
    var files: [Int: SimulatedFile] = [:]
    var directories: [Int: SimulatedEntries] = [root: SimulatedEntries(parent: root)]
    var permissions: [Int: UInt32] = [:]
    /// Files without a name, durable or not. Whoever holds no open handle on one may forget it.
    private(set) var orphans: Set<Int> = []

    init(profile: SimulatedProfile, position: Int = 0) {
        self.profile = profile
        self.position = position
    }

    mutating func apply(_ operation: SimulatedOperation) {
        let index = position
        position += 1
        switch operation {
        case .makeDirectory(let node, let parent, let name):
            directories[node] = SimulatedEntries(parent: parent)
            directories[parent]?.change(.add(name, node), index)
        case .create(let node, let parent, let name):
            files[node] = SimulatedFile(parent: parent, creation: index)
            directories[parent]?.change(.add(name, node), index)
        case .write(let node, let offset, let bytes):
            files[node]?.change(.write(bytes, offset), index)
        case .truncate(let node, let size):
            files[node]?.change(.resize(size), index)
        case .allocate(let node, let size):
            files[node]?.change(.extend(size), index)
        case .rename(let directory, let source, let target):
            guard let node = directories[directory]?.cached[source] else { return }
            directories[directory]?.change(.rename(source, target, node), index)
        case .link(let node, let directory, let name):
            directories[directory]?.change(.add(name, node), index)
        case .unlink(let directory, let name), .removeDirectory(let directory, let name):
            guard let node = directories[directory]?.cached[name] else { return }
            directories[directory]?.change(.remove(name, node), index)
        case .sync(let node):
            files[node]?.sync(index)
            guard profile == .ext4, let file = files[node] else { return }
            persistEntries(of: file.parent, through: file.creation)
        case .failedSync(let node, let reverts):
            files[node]?.failSync(reverts: reverts, index)
        case .syncDirectory(let node):
            persistEntries(of: node, through: index)
        }
    }

    mutating func forget(_ orphan: Int) {
        orphans.remove(orphan)
        files[orphan] = nil
    }

    private mutating func persistEntries(of directory: Int, through index: Int) {
        guard let first = directories[directory]?.pending.first, first.index <= index else {
            return
        }
        let before = directories[directory]?.allNodes ?? []
        directories[directory]?.sync(through: index)
        directories[directory]?.stamps.durable = position
        let gone = before.subtracting(directories[directory]?.allNodes ?? [])
        guard !gone.isEmpty else { return }
        // A file may have another name elsewhere.
        let named = directories.values.reduce(into: Set<Int>()) { $0.formUnion($1.allNodes) }
        orphans.formUnion(gone.subtracting(named))
    }

    /// The node of a path, `nil` when there is none. Paths start at the root, with or without
    /// slash.
    func node(_ path: String, _ view: SimulatedView) -> Int? {
        var node = Self.root
        for part in path.split(separator: "/") where part != "." {
            guard let directory = directories[node] else { return nil }
            if part == ".." {
                node = directory.parent
            } else {
                guard let next = directory.entries(view)[String(part)] else { return nil }
                node = next
            }
        }
        return node
    }

    func bytes(
        ofFile path: String,
        _ view: SimulatedView,
        in range: Range<UInt64>?
    ) -> [UInt8]? {
        guard let file = node(path, view).flatMap({ files[$0] }) else { return nil }
        let bytes = file.bytes(view)
        return bytes.read(range ?? 0..<bytes.size)
    }

    func size(ofFile path: String, _ view: SimulatedView) -> UInt64? {
        guard let file = node(path, view).flatMap({ files[$0] }) else { return nil }
        return file.bytes(view).size
    }

    func names(inDirectory path: String, _ view: SimulatedView) -> [String]? {
        node(path, view).flatMap { directories[$0] }?.entries(view).keys.sorted()
    }

    /// The trace indices of all changes that are not durable, in order.
    var pendingIndices: [Int] {
        let inFiles = files.values.flatMap { $0.pending.map(\.index) }
        let inDirectories = directories.values.flatMap { $0.pending.map(\.index) }
        return (inFiles + inDirectories).sorted()
    }
}

/// The positions of the trace where the two sides of a file or directory changed last.
struct SimulatedStamps: Sendable {
    var durable = 0
    var cached = 0
}

struct SimulatedFile: Sendable {
    enum Change: Sendable {
        case write([UInt8], UInt64)
        case resize(UInt64)
        case extend(UInt64)
    }

    /// The directory where it was created, and the index of that operation; -1 before the trace.
    let parent: Int
    let creation: Int
    var durable = SimulatedBytes()
    var cached = SimulatedBytes()
    var pending: [(index: Int, change: Change)] = []
    var stamps = SimulatedStamps()
    /// Whether a failed sync has made `durable` and `pending` less than `cached`.
    private var hasLostChanges = false

    init(parent: Int, creation: Int) {
        self.parent = parent
        self.creation = creation
    }

    func bytes(_ view: SimulatedView) -> SimulatedBytes {
        view == .durable ? durable : cached
    }

    mutating func change(_ change: Change, _ index: Int) {
        cached.apply(change)
        pending.append((index, change))
        stamps.cached = index + 1
    }

    mutating func sync(_ index: Int) {
        guard !pending.isEmpty else { return }
        stamps.durable = index + 1
        if hasLostChanges {
            for (_, change) in pending { durable.apply(change) }
        } else {
            for case (_, .resize(let size)) in pending { durable.resize(to: size) }
            durable.resize(to: cached.size)
            for case (_, .write(let bytes, let offset)) in pending {
                let range = offset..<offset + UInt64(bytes.count)
                durable.sharePages(of: range.clamped(to: 0..<cached.size), from: cached)
            }
        }
        pending = []
    }

    mutating func failSync(reverts: Bool, _ index: Int) {
        if reverts { stamps.cached = index + 1 }
        hasLostChanges = !reverts && (hasLostChanges || !pending.isEmpty)
        if reverts { cached = durable }
        pending = []
    }
}

extension SimulatedBytes {
    mutating func apply(_ change: SimulatedFile.Change) {
        switch change {
        case .write(let bytes, let offset): write(bytes[...], at: offset)
        case .resize(let size): resize(to: size)
        case .extend(let newSize): resize(to: max(size, newSize))
        }
    }
}

/// The entries of a simulated directory.
struct SimulatedEntries: Sendable {
    enum Change: Sendable {
        case add(String, Int)
        case rename(String, String, Int)
        case remove(String, Int)
    }

    let parent: Int
    var durable: [String: Int] = [:]
    var cached: [String: Int] = [:]
    var pending: [(index: Int, change: Change)] = []
    var stamps = SimulatedStamps()

    init(parent: Int) { self.parent = parent }

    func entries(_ view: SimulatedView) -> [String: Int] { view == .durable ? durable : cached }

    mutating func change(_ change: Change, _ index: Int) {
        Self.apply(change, to: &cached)
        pending.append((index, change))
        stamps.cached = index + 1
    }

    mutating func sync(through index: Int) {
        durable = keeping(first: pending.count { $0.index <= index })
        pending.removeAll { $0.index <= index }
    }

    /// The durable entries after the first pending changes.
    func keeping(first count: Int) -> [String: Int] {
        keeping(pending.indices.prefix(count))
    }

    /// The durable entries after some of the pending changes, those at the given places.
    func keeping(_ places: some Sequence<Int>) -> [String: Int] {
        var entries = durable
        for place in places { Self.apply(pending[place].change, to: &entries) }
        return entries
    }

    /// Every node that is named, or would be after some of the pending changes.
    var allNodes: Set<Int> {
        var nodes = Set(durable.values).union(cached.values)
        for (_, change) in pending {
            switch change {
            case .add(_, let node), .rename(_, _, let node): nodes.insert(node)
            case .remove: break
            }
        }
        return nodes
    }

    /// A change may come without those before it: it is of the file that it was made for.
    private static func apply(_ change: Change, to entries: inout [String: Int]) {
        switch change {
        case .add(let name, let node): entries[name] = node
        case .rename(let source, let target, let node):
            if entries[source] == node { entries[source] = nil }
            entries[target] = node
        case .remove(let name, let node): if entries[name] == node { entries[name] = nil }
        }
    }
}
