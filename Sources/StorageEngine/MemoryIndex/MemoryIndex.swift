internal import Glibc
internal import Synchronization

// The memory index: an adaptive radix tree (Leis, Kemper, Neumann 2013) with versions.
//
// Inner nodes branch on one byte of the key and come in four sizes. Paths are compressed: a node
// says which byte it branches on, and bytes that all keys below it share have no nodes. A lookup
// does not look at those on the way down: the leaf has the whole key, which is compared there,
// once. So it touches a node for each byte that tells keys apart, then one leaf with the newest
// version beside it.
//
// An insert and a seek compare those bytes at each node, with the last eight of them in the node
// or, where there are more, with the key of a leaf below. The first byte that differs says where a
// new key branches off: in a node that branches on that byte, or in a new one above the first that
// branches later.
//
// (1) One thread inserts at a time. Readers take no lock: each change becomes visible by one store.
// (2) A node that is full is replaced by a larger copy. Readers in the old one find all that was
//     there before; what came later is newer than what they may see.
// (3) Leaves never move. The versions of a key are a list, the newest first.
// (4) Memory is taken from arenas and freed with the index.
//     Range tombstones are kept beside the tree, see `IndexRanges`.
// (5) Nothing recurses; keys are compared as unsigned bytes, a prefix before its extensions.

/// Keys in order, each with its versions by sequence.
///
/// Thread safety: one thread at a time may insert; everything else may be called from any thread.
package final class MemoryIndex: @unchecked Sendable {
    /// What inserts must leave for readers.
    package struct Retention: Sendable {
        /// Every version at or below it is published; the newest such one is kept.
        package let visible: UInt64
        /// The sequences of snapshots, ascending, none above ``visible``; what each sees is kept.
        package let registered: [UInt64]

        package init(visible: UInt64, registered: [UInt64]) {
            self.visible = visible
            self.registered = registered
        }
    }

    /// What a lookup found.
    package struct Found {
        /// The newest version at or below the sequence asked for; `nil` when a range tombstone of
        /// the index hides it.
        package let version: IndexVersion?
        /// The sequence of the newest range tombstone at or below that sequence that covers the
        /// key, 0 for none; it hides older versions elsewhere.
        package let rangeTombstone: UInt64
        /// Whether the key has newer versions, or newer range tombstones cover it. A writer may
        /// then have unlinked what was right for the sequence, unless that is registered or still
        /// the visible one after the lookup.
        package let sawNewer: Bool
    }

    package static let tombstone = IndexVersion.tombstone

    private let nodes = Arena()
    /// Leaves and versions.
    private let entries = Arena()
    /// The reference to the root (atomic).
    private let root: UnsafeMutableRawPointer
    private let keys = Atomic<Int>(0)
    private let versions = Atomic<Int>(0)
    private let unlinked = Atomic<Int>(0)
    private let ranges = IndexRanges()
    private let lastVersion = Atomic<UInt64>(0)

    package init() {
        root = .allocate(byteCount: 8, alignment: 8)
        atomicWord(root).initialize(to: Atomic(0))
    }

    deinit { root.deallocate() }

    /// Bytes taken from the system.
    package var byteCount: Int { nodes.byteCount + entries.byteCount + ranges.byteCount }
    /// Bytes in use, those of ``unlinkedBytes`` included.
    package var usedBytes: Int { nodes.usedBytes + entries.usedBytes + ranges.byteCount }
    /// Whether neither a key nor a range tombstone was put in.
    var isEmpty: Bool { keyCount == 0 && rangeTombstones.isEmpty }
    var keyCount: Int { keys.load(ordering: .relaxed) }
    /// Versions that lookups can still find.
    var versionCount: Int { versions.load(ordering: .relaxed) }
    /// Bytes of versions that no reader can see any more; they are freed with the index.
    var unlinkedBytes: Int { unlinked.load(ordering: .relaxed) }
    /// The greatest sequence of a version: a newer range tombstone hides all in its range.
    package var lastVersionSequence: UInt64 { lastVersion.load(ordering: .acquiring) }
    /// The range tombstones, with all that a reader needs who registered or loaded his sequence
    /// before. Loading them takes no lock.
    package var rangeTombstones: RangeTombstones { ranges.current }

    @inline(__always)
    var rootReference: IndexReference {
        IndexReference(word: atomicWord(root).pointee.load(ordering: .acquiring))
    }

    // MARK: - Lookup

    /// Finds the newest version of a key at or below a sequence.
    package func find(_ key: UnsafeRawBufferPointer, at sequence: UInt64) -> Found {
        // One load of the newest version answers both: a writer may replace it in between.
        let newest = leaf(key)?.newest
        let version = newest?.at(sequence)
        let sawNewer = newest.map { $0.sequence > sequence } ?? false
        guard let cover = ranges.cover(of: key, at: sequence) else {
            return Found(version: version, rangeTombstone: 0, sawNewer: sawNewer)
        }
        let isHidden = version.map { $0.sequence < cover.sequence } ?? true
        return Found(
            version: isHidden ? nil : version,
            rangeTombstone: cover.sequence,
            sawNewer: sawNewer || cover.sawNewer
        )
    }

    /// The leaf of a key.
    @inline(__always)
    private func leaf(_ key: UnsafeRawBufferPointer) -> IndexLeaf? {
        var reference = rootReference
        while !reference.isNone {
            if let leaf = reference.leaf { return leaf.key.isEqual(to: key) ? leaf : nil }
            let node = reference.node
            let branch = node.branch
            guard branch < key.count else {
                reference = branch == key.count ? node.end : .none
                continue
            }
            reference = node.child(key[branch])
        }
        return nil
    }

    // MARK: - Insert

    /// Where a search for a key ended, and where the key differs from those there.
    private struct Place {
        /// The slot that holds ``reference`` (atomic).
        let slot: UnsafeMutableRawPointer
        let reference: IndexReference
        /// A leaf from there.
        let leaf: IndexLeaf
        /// How many leading bytes the key has in common with all keys from there.
        let common: Int
    }

    /// Puts a version of a key in front of those it has.
    ///
    /// A key gets ascending sequences: `false`, and nothing is changed, when it has a version at or
    /// above this one. The bytes are copied.
    @discardableResult
    package func insert(
        key: UnsafeRawBufferPointer,
        value: UnsafeRawBufferPointer,
        flags: UInt8,
        sequence: UInt64,
        retention: Retention
    ) -> Bool {
        precondition(key.count <= IndexNode.branchMax && flags & IndexVersion.first == 0)
        if sequence > lastVersionSequence { lastVersion.store(sequence, ordering: .releasing) }
        guard let place = search(key) else {
            let leaf = makeLeaf(key, value, flags, sequence)
            setReference(IndexReference(leaf), at: root)
            return true
        }
        if place.common == key.count, place.leaf.key.count == key.count {
            return update(
                place.leaf,
                value: value,
                flags: flags,
                sequence: sequence,
                retention: retention
            )
        }
        let leaf = makeLeaf(key, value, flags, sequence)
        if place.reference.leaf == nil, place.reference.node.branch == place.common {
            addChild(leaf, at: place)
        } else {
            split(leaf, at: place)
        }
        return true
    }

    /// Hides what is older than a sequence in a range.
    package func insert(_ tombstone: RangeTombstone, retention: Retention) {
        ranges.insert(tombstone, retention)
    }

    private func add(_ count: Int, to counter: borrowing Atomic<Int>) {
        counter.store(counter.load(ordering: .relaxed) + count, ordering: .relaxed)
    }

    private func setReference(_ reference: IndexReference, at slot: UnsafeMutableRawPointer) {
        atomicWord(slot).pointee.store(reference.word, ordering: .releasing)
    }

    /// A new leaf with its first version right behind it.
    private func makeLeaf(
        _ key: UnsafeRawBufferPointer,
        _ value: UnsafeRawBufferPointer,
        _ flags: UInt8,
        _ sequence: UInt64
    ) -> IndexLeaf {
        add(1, to: keys)
        add(1, to: versions)
        let leafSize = IndexLeaf.size(keySize: key.count)
        let versionSize = IndexVersion.size(valueSize: value.count, isFirst: true)
        let memory = entries.allocate(leafSize + versionSize)
        let version = IndexVersion.make(
            at: memory + leafSize,
            sequence: sequence,
            flags: flags,
            value: value,
            older: nil
        )
        return IndexLeaf.make(at: memory, key: key, newest: version)
    }

    /// Follows the bytes of a key as far as they go; `nil` when the index is empty.
    private func search(_ key: UnsafeRawBufferPointer) -> Place? {
        var slot = root
        var reference = rootReference
        var depth = 0
        guard !reference.isNone else { return nil }
        while true {
            if let leaf = reference.leaf {
                let common = key.commonCount(leaf.key, from: depth)
                return Place(slot: slot, reference: reference, leaf: leaf, common: common)
            }
            let node = reference.node
            let branch = node.branch
            let common = node.agreement(with: key, from: depth)
            guard common == branch, branch < key.count else {
                let end = common == branch ? node.end.leaf : nil
                return Place(
                    slot: slot,
                    reference: reference,
                    leaf: end ?? node.sample,
                    common: common
                )
            }
            guard let offset = node.childOffset(key[branch]) else {
                return Place(
                    slot: slot,
                    reference: reference,
                    leaf: node.sample,
                    common: common
                )
            }
            slot = node.base + offset
            reference = node.child(at: offset)
            depth = branch + 1
        }
    }

    /// Adds a leaf to a node that branches where its key differs.
    private func addChild(_ leaf: IndexLeaf, at place: Place) {
        let node = place.reference.node
        let key = leaf.key
        guard place.common < key.count else { return node.setEnd(leaf) }
        guard node.isFull else { return node.add(key[place.common], IndexReference(leaf)) }
        let larger = makeNode(node.grownKind, branch: node.branch, sample: node.sample)
        node.copy(to: larger)
        larger.add(key[place.common], IndexReference(leaf))
        setReference(IndexReference(larger), at: place.slot)
    }

    /// Puts a new node above what is at a place, with that and a leaf as its children.
    private func split(_ leaf: IndexLeaf, at place: Place) {
        let node = makeNode(.node4, branch: place.common, sample: leaf)
        add(leaf, IndexReference(leaf), to: node)
        add(place.leaf, place.reference, to: node)
        setReference(IndexReference(node), at: place.slot)
    }

    /// Adds what is below a reference, by the key of a leaf from there.
    private func add(_ leaf: IndexLeaf, _ reference: IndexReference, to node: IndexNode) {
        let key = leaf.key
        if key.count == node.branch {
            node.setEnd(leaf)
        } else {
            node.add(key[node.branch], reference)
        }
    }

    private func makeNode(
        _ kind: IndexReference.Kind,
        branch: Int,
        sample: IndexLeaf
    ) -> IndexNode {
        let memory = nodes.allocate(IndexNode.size(kind))
        return IndexNode.make(at: memory, kind, branch: branch, sample: sample)
    }

    // MARK: - Versions

    private func update(
        _ leaf: IndexLeaf,
        value: UnsafeRawBufferPointer,
        flags: UInt8,
        sequence: UInt64,
        retention: Retention
    ) -> Bool {
        guard let older = leaf.newest else { preconditionFailure("a leaf has a version") }
        guard older.sequence < sequence else { return false }
        add(1, to: versions)
        let size = IndexVersion.size(valueSize: value.count, isFirst: false)
        let version = IndexVersion.make(
            at: entries.allocate(size),
            sequence: sequence,
            flags: flags,
            value: value,
            older: older
        )
        leaf.setNewest(version)
        dropUnseen(behind: version, retention)
        return true
    }

    /// Takes out of a key's list what no reader can see: not newer than what is published, nor the
    /// newest at or below that or a registered sequence. Readers that stand on it walk on from it.
    ///
    /// Nothing is done while the version before the newest is not published: the insert of that one
    /// has been through the list, so that a group of many writes to one key stays linear.
    private func dropUnseen(behind newest: IndexVersion, _ retention: Retention) {
        guard let second = newest.next, second.sequence <= retention.visible else { return }
        var last = newest
        /// The greatest sequence that is read below all versions kept so far; `nil` for none.
        var read: UInt64? = retention.visible
        var registeredCount = retention.registered.count
        while let version = last.next {
            let isKept =
                version.sequence > retention.visible || read.map { version.sequence <= $0 } ?? false
            guard isKept else {
                drop(version)
                last.setNext(version.next)
                continue
            }
            last = version
            guard version.sequence <= retention.visible else { continue }
            while registeredCount > 0,
                retention.registered[registeredCount - 1] >= version.sequence
            { registeredCount -= 1 }
            read = registeredCount > 0 ? retention.registered[registeredCount - 1] : nil
        }
    }

    private func drop(_ version: IndexVersion) {
        add(-1, to: versions)
        add(version.size, to: unlinked)
    }
}

extension UnsafeRawBufferPointer {
    /// How many leading bytes are the same; those before an index are known to be.
    @inline(__always)
    func commonCount(_ other: UnsafeRawBufferPointer, from start: Int = 0) -> Int {
        let limit = Swift.min(count, other.count)
        var index = start
        while index + 8 <= limit {
            let left = loadUnaligned(fromByteOffset: index, as: UInt64.self)
            let right = other.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            let difference = (left ^ right).littleEndian
            if difference != 0 { return index + difference.trailingZeroBitCount / 8 }
            index += 8
        }
        while index < limit, self[index] == other[index] { index += 1 }
        return index
    }
}
