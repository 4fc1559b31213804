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
        IndexNode(
            base: base,
            kind: unsafeBitCast(UInt8(truncatingIfNeeded: word & 7), to: KindByte.self).kind
        )
    }

    /// The low bits again as a kind, without a check.
    private struct KindByte {
        let raw: UInt8
        @inline(__always)
        var kind: Kind {
            switch raw {
            case 2: .node4
            case 3: .node16
            case 4: .node48
            default: .node256
            }
        }
    }
}

/// An inner node: keys below it agree in the bytes before ``branch`` and differ in the byte there.
///
///   node := 0 branch u32 | 4 - | 8 count (atomic) | 16 end leaf (atomic) | 24 sample leaf | 32
///   body 4, 16  body := one or two words of key bytes (atomic), then as many children (atomic),
///   unsorted 48     body := 32 words of slot numbers plus one, a byte for each key byte (atomic),
///                   48 children
///   256    body := 256 children
///
/// end leaf  The key that ends at ``branch``; it sorts before all children.
/// sample    Some leaf below: its key spells the bytes before ``branch``.
///
/// (1) Branch and sample never change. Children and the end leaf are added, and replaced by nodes
///     that hold the same keys and more; nothing is removed.
/// (2) An entry is written before the count, the slot number or the child that makes it visible.
struct IndexNode {
    let base: UnsafeMutableRawPointer
    let kind: IndexReference.Kind

    static let headerSize = 32

    static func size(_ kind: IndexReference.Kind) -> Int {
        switch kind {
        case .leaf: preconditionFailure("a leaf is no inner node")
        case .node4: headerSize + 8 + 4 * 8
        case .node16: headerSize + 16 + 16 * 8
        case .node48: headerSize + 256 + 48 * 8
        case .node256: headerSize + 256 * 8
        }
    }

    /// Makes an empty node in memory of its size.
    static func make(
        at base: UnsafeMutableRawPointer,
        _ kind: IndexReference.Kind,
        branch: Int,
        sample: IndexLeaf
    ) -> IndexNode {
        for offset in stride(from: 0, to: size(kind), by: 8) {
            atomicWord(base + offset).initialize(to: Atomic(0))
        }
        base.storeBytes(of: UInt32(branch), as: UInt32.self)
        base.storeBytes(of: UInt(bitPattern: sample.base), toByteOffset: 24, as: UInt.self)
        return IndexNode(base: base, kind: kind)
    }

    @inline(__always)
    var branch: Int { Int(base.load(as: UInt32.self)) }

    var sample: IndexLeaf {
        IndexLeaf(
            base: UnsafeMutableRawPointer(
                bitPattern: base.load(fromByteOffset: 24, as: UInt.self)
            ).unsafelyUnwrapped
        )
    }

    @inline(__always)
    private func load(_ offset: Int) -> UInt {
        atomicWord(base + offset).pointee.load(ordering: .acquiring)
    }

    private func store(_ word: UInt, _ offset: Int) {
        atomicWord(base + offset).pointee.store(word, ordering: .releasing)
    }

    @inline(__always)
    var count: Int { Int(load(8)) }

    @inline(__always)
    var end: IndexReference { IndexReference(word: load(16)) }

    func setEnd(_ leaf: IndexLeaf) { store(IndexReference(leaf).word, 16) }

    @inline(__always)
    private var childrenOffset: Int {
        switch kind {
        case .node4: Self.headerSize + 8
        case .node16: Self.headerSize + 16
        case .node48: Self.headerSize + 256
        default: Self.headerSize
        }
    }

    /// Where a key byte's child is kept, in bytes from the base; `nil` when there is none.
    @inline(__always)
    func childOffset(_ byte: UInt8) -> Int? {
        switch kind {
        case .node4:
            let count = count
            return Self.find(byte, in: load(Self.headerSize), below: count)
                .map { Self.headerSize + 8 + $0 * 8 }
        case .node16:
            let count = count
            if let slot = Self.find(byte, in: load(Self.headerSize), below: min(count, 8)) {
                return Self.headerSize + 16 + slot * 8
            }
            guard count > 8 else { return nil }
            return Self.find(byte, in: load(Self.headerSize + 8), below: count - 8)
                .map { Self.headerSize + 16 + ($0 + 8) * 8 }
        case .node48:
            let slot = slotNumber(byte)
            return slot == 0 ? nil : Self.headerSize + 256 + (slot - 1) * 8
        default:
            let offset = Self.headerSize + Int(byte) * 8
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
    private func slotNumber(_ byte: UInt8) -> Int {
        let word = load(Self.headerSize + Int(byte & ~7))
        return Int((word >> UInt((byte & 7) * 8)) & 0xff)
    }

    @inline(__always)
    func child(at offset: Int) -> IndexReference { IndexReference(word: load(offset)) }

    @inline(__always)
    func child(_ byte: UInt8) -> IndexReference {
        guard let offset = childOffset(byte) else { return .none }
        return child(at: offset)
    }

    // MARK: - Order

    /// The least key byte above a bound that has a child; -1 is below all.
    func nextByte(after bound: Int) -> Int? {
        switch kind {
        case .node4, .node16:
            var best = 256
            for slot in 0..<count {
                let byte = keyByte(slot)
                if byte > bound, byte < best { best = byte }
            }
            return best < 256 ? best : nil
        case .node48:
            var byte = bound + 1
            while byte < 256 {
                let word = load(Self.headerSize + byte & ~7) >> UInt((byte & 7) * 8)
                if word != 0 { return byte + word.trailingZeroBitCount / 8 }
                byte = (byte | 7) + 1
            }
            return nil
        default:
            var byte = bound + 1
            while byte < 256 {
                if load(Self.headerSize + byte * 8) != 0 { return byte }
                byte += 1
            }
            return nil
        }
    }

    /// The greatest key byte below a bound that has a child; 256 is above all.
    func previousByte(before bound: Int) -> Int? {
        switch kind {
        case .node4, .node16:
            var best = -1
            for slot in 0..<count {
                let byte = keyByte(slot)
                if byte < bound, byte > best { best = byte }
            }
            return best >= 0 ? best : nil
        case .node48:
            var byte = bound - 1
            while byte >= 0 {
                let word = load(Self.headerSize + byte & ~7) << UInt((7 - byte & 7) * 8)
                if word != 0 { return byte - word.leadingZeroBitCount / 8 }
                byte = (byte & ~7) - 1
            }
            return nil
        default:
            var byte = bound - 1
            while byte >= 0 {
                if load(Self.headerSize + byte * 8) != 0 { return byte }
                byte -= 1
            }
            return nil
        }
    }

    @inline(__always)
    private func keyByte(_ slot: Int) -> Int {
        Int((load(Self.headerSize + slot & ~7) >> UInt((slot & 7) * 8)) & 0xff)
    }

    // MARK: - Changes, by the one writer

    var isFull: Bool {
        switch kind {
        case .node4: count == 4
        case .node16: count == 16
        case .node48: count == 48
        default: false
        }
    }

    /// Adds a child for a key byte that has none; the node is not full.
    func add(_ byte: UInt8, _ child: IndexReference) {
        let slot = count
        switch kind {
        case .node4, .node16:
            store(child.word, childrenOffset + slot * 8)
            let offset = Self.headerSize + slot & ~7
            store(load(offset) | UInt(byte) << UInt((slot & 7) * 8), offset)
        case .node48:
            store(child.word, childrenOffset + slot * 8)
            let offset = Self.headerSize + Int(byte & ~7)
            store(load(offset) | UInt(slot + 1) << UInt((byte & 7) * 8), offset)
        default:
            store(child.word, childrenOffset + Int(byte) * 8)
        }
        store(UInt(slot + 1), 8)
    }

    /// Puts another node in the place of a child.
    func setChild(_ child: IndexReference, at offset: Int) { store(child.word, offset) }

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
        var byte = nextByte(after: -1)
        while let found = byte {
            larger.add(UInt8(found), child(UInt8(found)))
            byte = nextByte(after: found)
        }
    }
}
