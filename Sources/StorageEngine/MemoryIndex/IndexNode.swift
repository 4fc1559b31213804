internal import CEngineSystem
internal import Glibc
internal import Synchronization

/// A reference to a leaf or an inner node: the address, with the kind in its low bits; 0 for none.
struct IndexReference: Equatable {
    enum Kind: UInt {
        case leaf = 1
        case node4, node16, node48, node256
    }

    let word: UInt

    static let none = IndexReference(word: 0)

    @inline(__always)
    init(word: UInt) { self.word = word }

    init(_ leaf: IndexLeaf) { word = UInt(bitPattern: leaf.base) | Kind.leaf.rawValue }
    init(_ node: IndexNode) { word = UInt(bitPattern: node.base) | node.kind.rawValue }

    @inline(__always)
    var isNone: Bool { word == 0 }

    @inline(__always)
    private var base: UnsafeMutableRawPointer {
        UnsafeMutableRawPointer(bitPattern: word & ~7).unsafelyUnwrapped
    }

    /// The leaf, `nil` when it is an inner node.
    @inline(__always)
    var leaf: IndexLeaf? { word & 7 == Kind.leaf.rawValue ? IndexLeaf(base: base) : nil }

    /// The inner node; the reference is neither none nor a leaf.
    @inline(__always)
    var node: IndexNode {
        IndexNode(base: base, kind: Kind(rawValue: word & 7).unsafelyUnwrapped)
    }

    /// Asks the processor for what a cursor reads of it: the front of a node, or a leaf with the
    /// front of its version.
    @inline(__always)
    func prefetch() {
        guard !isNone else { return }
        csystem_prefetch(base)
        csystem_prefetch(base + 64)
    }
}

/// An inner node: keys below it agree in the bytes before ``branch`` and differ in the byte there.
///
///   node  := 0 shape (atomic) | 8 end leaf (atomic) | 16 sample leaf | 24 prefix | 32 body
///   shape := bits 0…23 branch, 24…31 count, 32…63 the key bytes of a node4
///   4     body := 4 children (atomic), in the order of their key bytes in the shape: as they came
///   16    body := 16 key bytes in two words (atomic), 16 children in that order: as they came
///   48    body := 256 slot numbers plus one in 32 words (atomic), 48 children; 0 for no child
///   256   body := 256 children; its count stays 0
///
/// end leaf  The key that ends at ``branch``; it sorts before all children.
/// sample    Some leaf below: its key spells the bytes before ``branch``.
/// prefix    The last eight bytes before ``branch``, when there are as many.
///
/// (1) Branch, sample and prefix never change. Children and the end leaf are added, and replaced by
///     nodes that hold the same keys and more; nothing is removed.
/// (2) A child is written before the shape, the slot number or the reference that makes it visible.
/// (3) Nodes take whole cache lines, so that a small one is read with one or two misses.
struct IndexNode {
    let base: UnsafeMutableRawPointer
    let kind: IndexReference.Kind

    private static let body = 32
    private static let children16 = body + 16
    private static let children48 = body + 256
    /// What ``branch`` has room for; keys are shorter.
    static let branchMax = 1 << 24 - 1

    static func size(_ kind: IndexReference.Kind) -> Int {
        switch kind {
        case .leaf: preconditionFailure("a leaf is no inner node")
        case .node4: 64
        case .node16: 192
        case .node48: 704
        case .node256: 2112
        }
    }

    /// Makes an empty node in memory of its size.
    static func make(
        at base: UnsafeMutableRawPointer,
        _ kind: IndexReference.Kind,
        branch: Int,
        sample: IndexLeaf
    ) -> IndexNode {
        memset(base, 0, size(kind))
        base.storeBytes(of: UInt(branch), as: UInt.self)
        base.storeBytes(of: UInt(bitPattern: sample.base), toByteOffset: 16, as: UInt.self)
        if branch >= 8 {
            let prefix = sample.key.loadUnaligned(fromByteOffset: branch - 8, as: UInt64.self)
            base.storeBytes(of: prefix, toByteOffset: 24, as: UInt64.self)
        }
        return IndexNode(base: base, kind: kind)
    }

    @inline(__always)
    private func load(_ offset: Int) -> UInt {
        atomicWord(base + offset).pointee.load(ordering: .acquiring)
    }

    private func store(_ word: UInt, _ offset: Int) {
        atomicWord(base + offset).pointee.store(word, ordering: .releasing)
    }

    @inline(__always)
    private var shape: UInt { load(0) }

    @inline(__always)
    private static func count(_ shape: UInt) -> Int { Int(shape >> 24 & 0xff) }

    @inline(__always)
    var branch: Int { Int(shape & 0xff_ffff) }

    @inline(__always)
    var sample: IndexLeaf {
        let address = base.load(fromByteOffset: 16, as: UInt.self)
        return IndexLeaf(base: UnsafeMutableRawPointer(bitPattern: address).unsafelyUnwrapped)
    }

    @inline(__always)
    var end: IndexReference { IndexReference(word: load(8)) }

    func setEnd(_ leaf: IndexLeaf) { store(IndexReference(leaf).word, 8) }

    /// How many leading bytes a key shares with the keys below, ``branch`` at most; those before a
    /// depth are known to be the same.
    @inline(__always)
    func agreement(with key: UnsafeRawBufferPointer, from depth: Int) -> Int {
        let branch = branch
        guard depth < branch else { return branch }
        guard branch >= 8, branch - depth <= 8, branch <= key.count else {
            return min(branch, key.commonCount(sample.key, from: depth))
        }
        let prefix = base.load(fromByteOffset: 24, as: UInt64.self)
        let bytes = key.loadUnaligned(fromByteOffset: branch - 8, as: UInt64.self)
        let difference = (prefix ^ bytes).littleEndian
        return difference == 0 ? branch : branch - 8 + difference.trailingZeroBitCount / 8
    }

    // MARK: - Children

    /// Where a key byte's child is kept, in bytes from the base; `nil` when there is none.
    @inline(__always)
    func childOffset(_ byte: UInt8) -> Int? {
        switch kind {
        case .node4:
            let shape = shape
            return Self.find(byte, in: shape >> 32, below: Self.count(shape))
                .map { Self.body + $0 * 8 }
        case .node16:
            let count = Self.count(shape)
            if let slot = Self.find(byte, in: load(Self.body), below: min(count, 8)) {
                return Self.children16 + slot * 8
            }
            guard count > 8 else { return nil }
            return Self.find(byte, in: load(Self.body + 8), below: count - 8)
                .map { Self.children16 + ($0 + 8) * 8 }
        case .node48:
            let word = load(Self.body + Int(byte & ~7))
            let slot = Int(word >> UInt((byte & 7) * 8) & 0xff)
            return slot == 0 ? nil : Self.children48 + (slot - 1) * 8
        default:
            let offset = Self.body + Int(byte) * 8
            return load(offset) == 0 ? nil : offset
        }
    }

    /// The position of a byte among the first ones of a word. (Mycroft's test for a zero byte:
    /// exact for the lowest one.)
    @inline(__always)
    private static func find(_ byte: UInt8, in word: UInt, below count: Int) -> Int? {
        let difference = word ^ (UInt(byte) &* 0x0101_0101_0101_0101)
        let zeros =
            (difference &- 0x0101_0101_0101_0101) & ~difference & 0x8080_8080_8080_8080
        let position = zeros.trailingZeroBitCount / 8
        return position < count ? position : nil
    }

    @inline(__always)
    func child(at offset: Int) -> IndexReference { IndexReference(word: load(offset)) }

    @inline(__always)
    func child(_ byte: UInt8) -> IndexReference {
        guard let offset = childOffset(byte) else { return .none }
        return child(at: offset)
    }

    // MARK: - Order

    /// A child and its key byte.
    struct Child {
        let byte: Int
        let reference: IndexReference
    }

    /// The child with the least key byte above a bound; -1 is below all.
    func child(after bound: Int) -> Child? {
        switch kind {
        case .node4, .node16:
            var best = 256
            var bestSlot = 0
            forEachSlot { slot, byte in
                if byte > bound, byte < best { (best, bestSlot) = (byte, slot) }
            }
            return best < 256 ? smallChild(best, bestSlot) : nil
        case .node48:
            var byte = bound + 1
            while byte < 256 {
                let word = load(Self.body + byte & ~7) >> UInt((byte & 7) * 8)
                if word != 0 {
                    let found = byte + word.trailingZeroBitCount / 8
                    return Child(byte: found, reference: child(UInt8(found)))
                }
                byte = (byte | 7) + 1
            }
            return nil
        default:
            for byte in (bound + 1)..<256 {
                let word = load(Self.body + byte * 8)
                if word != 0 { return Child(byte: byte, reference: IndexReference(word: word)) }
            }
            return nil
        }
    }

    /// The child with the greatest key byte below a bound; 256 is above all.
    func child(before bound: Int) -> Child? {
        switch kind {
        case .node4, .node16:
            var best = -1
            var bestSlot = 0
            forEachSlot { slot, byte in
                if byte < bound, byte > best { (best, bestSlot) = (byte, slot) }
            }
            return best >= 0 ? smallChild(best, bestSlot) : nil
        case .node48:
            var byte = bound - 1
            while byte >= 0 {
                let word = load(Self.body + byte & ~7) << UInt((7 - byte & 7) * 8)
                if word != 0 {
                    let found = byte - word.leadingZeroBitCount / 8
                    return Child(byte: found, reference: child(UInt8(found)))
                }
                byte = (byte & ~7) - 1
            }
            return nil
        default:
            for byte in (0..<bound).reversed() {
                let word = load(Self.body + byte * 8)
                if word != 0 { return Child(byte: byte, reference: IndexReference(word: word)) }
            }
            return nil
        }
    }

    /// The child in a slot of a node4 or node16.
    @inline(__always)
    private func smallChild(_ byte: Int, _ slot: Int) -> Child {
        let offset = (kind == .node4 ? Self.body : Self.children16) + slot * 8
        return Child(byte: byte, reference: child(at: offset))
    }

    /// Goes through the key bytes of a node4 or node16.
    @inline(__always)
    private func forEachSlot(_ body: (_ slot: Int, _ byte: Int) -> Void) {
        let shape = shape
        let count = Self.count(shape)
        var word = kind == .node4 ? shape >> 32 : load(Self.body)
        for slot in 0..<count {
            if slot == 8 { word = load(Self.body + 8) }
            body(slot, Int(word & 0xff))
            word >>= 8
        }
    }

    /// Asks the processor for the children, unless they are very many, for a cursor that is about
    /// to read them.
    @inline(__always)
    func prefetchChildren() {
        let children =
            switch kind {
            case .node4: Self.body
            case .node16: Self.children16
            default: Self.children48
            }
        guard kind != .node256 else { return }
        for slot in 0..<Self.count(shape) { child(at: children + slot * 8).prefetch() }
    }

    // MARK: - Changes, by the one writer

    var isFull: Bool {
        switch kind {
        case .node4: Self.count(shape) == 4
        case .node16: Self.count(shape) == 16
        case .node48: Self.count(shape) == 48
        default: false
        }
    }

    /// Adds a child for a key byte that has none; the node is not full.
    func add(_ byte: UInt8, _ child: IndexReference) {
        let shape = shape
        let slot = Self.count(shape)
        let larger = shape + 1 << 24
        switch kind {
        case .node4:
            store(child.word, Self.body + slot * 8)
            store(larger | UInt(byte) << UInt(32 + slot * 8), 0)
        case .node16:
            store(child.word, Self.children16 + slot * 8)
            let offset = Self.body + slot & ~7
            store(load(offset) | UInt(byte) << UInt((slot & 7) * 8), offset)
            store(larger, 0)
        case .node48:
            store(child.word, Self.children48 + slot * 8)
            let offset = Self.body + Int(byte & ~7)
            store(load(offset) | UInt(slot + 1) << UInt((byte & 7) * 8), offset)
            store(larger, 0)
        default:
            store(child.word, Self.body + Int(byte) * 8)
        }
    }

    /// The kind that a full node grows to.
    var grownKind: IndexReference.Kind {
        switch kind {
        case .node4: .node16
        case .node16: .node48
        default: .node256
        }
    }

    /// Copies end leaf and children to an empty, larger node.
    func copy(to larger: IndexNode) {
        if let leaf = end.leaf { larger.setEnd(leaf) }
        var next = child(after: -1)
        while let child = next {
            larger.add(UInt8(child.byte), child.reference)
            next = self.child(after: child.byte)
        }
    }
}
