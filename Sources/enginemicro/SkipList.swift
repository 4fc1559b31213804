internal import StorageEngine
internal import Synchronization

// The plain alternative to the memory index, kept to compare with: a skip list (Pugh 1990), as in
// LevelDB and RocksDB, one writer beside readers that take no lock.
//
//   node := … | -16 next of level 1 | -8 next of level 0
//           0 newest version | 8 previous | 16 keySize u32 | 20 key | version
//
// Nodes are addressed behind their links, so that the lowest link, the newest version and the first
// bytes of the key lie on one or two cache lines. Links, versions and `previous` are atomic. A key
// that comes behind all others is put there without a search.

/// Keys in order, each with its versions by sequence.
///
/// Thread safety: one thread at a time may insert; everything else may be called from any thread.
final class SkipList: @unchecked Sendable {
    static let heightMax = 12

    private let arena = Arena()
    fileprivate let head: SkipNode
    /// The last node of each level; the writer's.
    private var tails: [SkipNode]
    private var random: UInt64 = 0x9e37_79b9_7f4a_7c15
    private(set) var height = 1

    init() {
        head = SkipNode.make(
            in: arena,
            height: Self.heightMax,
            key: UnsafeRawBufferPointer(start: nil, count: 0),
            valueSize: 0
        )
        tails = Array(repeating: head, count: Self.heightMax)
    }

    var usedBytes: Int { arena.usedBytes }

    /// Puts a version of a key in front of those it has.
    func insert(
        key: UnsafeRawBufferPointer,
        value: UnsafeRawBufferPointer,
        flags: UInt8,
        sequence: UInt64
    ) {
        var before = [12 of SkipNode](repeating: head)
        let next = findPredecessors(key, &before)
        if let next, next.key.order(key) == 0 {
            let memory = arena.allocate(SkipVersion.size(valueSize: value.count))
            let version = SkipVersion.make(
                at: memory,
                sequence,
                flags,
                value,
                older: next.newest.base
            )
            return next.setNewest(version)
        }
        let nodeHeight = randomHeight()
        let node = SkipNode.make(in: arena, height: nodeHeight, key: key, valueSize: value.count)
        let version = SkipVersion.make(at: node.versionMemory, sequence, flags, value, older: nil)
        node.setNewest(version)
        node.setPrevious(before[0])
        height = max(height, nodeHeight)
        for level in 0..<nodeHeight {
            let follower = before[level].next(level)
            node.setNext(follower, level)
            before[level].setNext(node, level)
            if follower == nil { tails[level] = node }
        }
        next?.setPrevious(node)
    }

    /// Finds the last node before a key on each level, and the first at or behind it.
    private func findPredecessors(
        _ key: UnsafeRawBufferPointer,
        _ before: inout [12 of SkipNode]
    ) -> SkipNode? {
        if tails[0] != head, tails[0].key.order(key) < 0 {
            for level in 0..<Self.heightMax { before[level] = tails[level] }
            return nil
        }
        var node = head
        var next: SkipNode?
        for level in (0..<height).reversed() {
            // What stopped the level above stops this one too.
            let known = next
            while true {
                next = node.next(level)
                guard let found = next, found != known, found.key.order(key) < 0 else { break }
                node = found
            }
            before[level] = node
        }
        return next
    }

    private func randomHeight() -> Int {
        random ^= random << 13
        random ^= random >> 7
        random ^= random << 17
        // Two bits a level: p = 1/4.
        return min(1 + random.trailingZeroBitCount / 2, Self.heightMax)
    }

    /// The first node at or behind a key.
    fileprivate func firstNode(notBefore key: UnsafeRawBufferPointer) -> SkipNode? {
        var node = head
        var next: SkipNode?
        for level in (0..<height).reversed() {
            let known = next
            while true {
                next = node.next(level)
                guard let found = next, found != known, found.key.order(key) < 0 else { break }
                node = found
            }
        }
        return next
    }

    fileprivate var last: SkipNode? {
        var node = head
        for level in (0..<height).reversed() {
            while let next = node.next(level) { node = next }
        }
        return node == head ? nil : node
    }

    /// Finds the newest version of a key at or below a sequence.
    func find(_ key: UnsafeRawBufferPointer, at sequence: UInt64) -> SkipVersion? {
        guard let node = firstNode(notBefore: key), node.key.order(key) == 0 else { return nil }
        return node.newest.at(sequence)
    }
}

/// A place in the keys of a skip list, as of a sequence; moves both ways.
struct SkipListCursor {
    private let list: SkipList
    private let sequence: UInt64
    private var node: SkipNode?
    private var found: SkipVersion?

    init(_ list: SkipList, at sequence: UInt64) {
        self.list = list
        self.sequence = sequence
    }

    var key: UnsafeRawBufferPointer {
        guard let node else { preconditionFailure("the cursor stands on no entry") }
        return node.key
    }

    var version: SkipVersion {
        guard let found else { preconditionFailure("the cursor stands on no entry") }
        return found
    }

    mutating func seekToFirst() -> Bool {
        node = list.head.next(0)
        return settleForward()
    }

    mutating func seekToLast() -> Bool {
        node = list.last
        return settleBackward()
    }

    mutating func seek(to key: UnsafeRawBufferPointer) -> Bool {
        node = list.firstNode(notBefore: key)
        return settleForward()
    }

    mutating func next() -> Bool {
        node = node?.next(0)
        return settleForward()
    }

    mutating func previous() -> Bool {
        node = node?.previous
        return settleBackward()
    }

    private mutating func settleForward() -> Bool {
        while let there = node {
            found = there.newest.at(sequence)
            if found != nil { return true }
            node = there.next(0)
        }
        return false
    }

    private mutating func settleBackward() -> Bool {
        while let there = node, there != list.head {
            found = there.newest.at(sequence)
            if found != nil { return true }
            node = there.previous
        }
        node = nil
        return false
    }
}

private func word(_ pointer: UnsafeMutableRawPointer) -> UnsafeMutablePointer<Atomic<UInt>> {
    pointer.assumingMemoryBound(to: Atomic<UInt>.self)
}

/// A key, its links and its versions.
struct SkipNode: Equatable {
    fileprivate let base: UnsafeMutableRawPointer

    fileprivate static func make(
        in arena: Arena,
        height: Int,
        key: UnsafeRawBufferPointer,
        valueSize: Int
    ) -> SkipNode {
        let links = height * 8
        let size =
            links + versionOffset(keySize: key.count) + SkipVersion.size(valueSize: valueSize)
        let start = arena.allocate(size)
        for offset in stride(from: 0, to: links + 16, by: 8) {
            word(start + offset).initialize(to: Atomic(0))
        }
        let base = start + links
        base.storeBytes(of: UInt32(key.count), toByteOffset: 16, as: UInt32.self)
        if let bytes = key.baseAddress {
            (base + 20).copyMemory(from: bytes, byteCount: key.count)
        }
        return SkipNode(base: base)
    }

    private static func versionOffset(keySize: Int) -> Int { (20 + keySize + 7) & ~7 }

    /// Where the first version goes: right behind the key.
    fileprivate var versionMemory: UnsafeMutableRawPointer {
        base + Self.versionOffset(keySize: key.count)
    }

    @inline(__always)
    fileprivate var key: UnsafeRawBufferPointer {
        let size = Int(base.load(fromByteOffset: 16, as: UInt32.self))
        return UnsafeRawBufferPointer(start: base + 20, count: size)
    }

    @inline(__always)
    fileprivate func next(_ level: Int) -> SkipNode? {
        SkipNode(address: word(base - (level + 1) * 8).pointee.load(ordering: .acquiring))
    }

    fileprivate func setNext(_ node: SkipNode?, _ level: Int) {
        let address = node.map { UInt(bitPattern: $0.base) } ?? 0
        word(base - (level + 1) * 8).pointee.store(address, ordering: .releasing)
    }

    @inline(__always)
    fileprivate var previous: SkipNode? {
        SkipNode(address: word(base + 8).pointee.load(ordering: .acquiring))
    }

    fileprivate func setPrevious(_ node: SkipNode) {
        word(base + 8).pointee.store(UInt(bitPattern: node.base), ordering: .releasing)
    }

    @inline(__always)
    fileprivate var newest: SkipVersion {
        let address = word(base).pointee.load(ordering: .acquiring)
        return SkipVersion(base: UnsafeMutableRawPointer(bitPattern: address).unsafelyUnwrapped)
    }

    fileprivate func setNewest(_ version: SkipVersion) {
        word(base).pointee.store(UInt(bitPattern: version.base), ordering: .releasing)
    }

    private init(base: UnsafeMutableRawPointer) { self.base = base }

    @inline(__always)
    private init?(address: UInt) {
        guard let base = UnsafeMutableRawPointer(bitPattern: address) else { return nil }
        self.base = base
    }
}

/// A value of a key as of a sequence, laid out as the memory index does it.
struct SkipVersion {
    fileprivate let base: UnsafeMutableRawPointer

    fileprivate static func size(valueSize: Int) -> Int { (24 + valueSize + 7) & ~7 }

    fileprivate static func make(
        at base: UnsafeMutableRawPointer,
        _ sequence: UInt64,
        _ flags: UInt8,
        _ value: UnsafeRawBufferPointer,
        older: UnsafeMutableRawPointer?
    ) -> SkipVersion {
        word(base).initialize(to: Atomic(UInt(bitPattern: older)))
        base.storeBytes(of: sequence, toByteOffset: 8, as: UInt64.self)
        base.storeBytes(of: UInt32(value.count), toByteOffset: 16, as: UInt32.self)
        base.storeBytes(of: flags, toByteOffset: 20, as: UInt8.self)
        if let bytes = value.baseAddress {
            (base + 24).copyMemory(from: bytes, byteCount: value.count)
        }
        return SkipVersion(base: base)
    }

    var value: UnsafeRawBufferPointer {
        let size = Int(base.load(fromByteOffset: 16, as: UInt32.self))
        return UnsafeRawBufferPointer(start: base + 24, count: size)
    }

    @inline(__always)
    fileprivate func at(_ sequence: UInt64) -> SkipVersion? {
        var base = base
        while base.load(fromByteOffset: 8, as: UInt64.self) > sequence {
            let address = word(base).pointee.load(ordering: .acquiring)
            guard let older = UnsafeMutableRawPointer(bitPattern: address) else { return nil }
            base = older
        }
        return SkipVersion(base: base)
    }
}

extension UnsafeRawBufferPointer {
    /// Negative when these bytes sort before others, 0 when they are the same.
    @inline(__always)
    fileprivate func order(_ other: UnsafeRawBufferPointer) -> Int {
        let common = Swift.min(count, other.count)
        var index = 0
        while index + 8 <= common {
            let left = loadUnaligned(fromByteOffset: index, as: UInt64.self)
            let right = other.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            if left != right { return left.bigEndian < right.bigEndian ? -1 : 1 }
            index += 8
        }
        while index < common {
            if self[index] != other[index] { return self[index] < other[index] ? -1 : 1 }
            index += 1
        }
        return count - other.count
    }
}
