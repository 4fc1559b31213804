internal import Glibc
internal import Synchronization

/// Memory that one thread writes and others read at the same time.
@inline(__always)
func atomicWord(_ pointer: UnsafeMutableRawPointer) -> UnsafeMutablePointer<Atomic<UInt>> {
    pointer.assumingMemoryBound(to: Atomic<UInt>.self)
}

/// A key and its versions. Never moves, never goes away before the index does.
///
///   leaf := 0 newest version (atomic) | 8 keySize u32 | 12 key
struct IndexLeaf {
    let base: UnsafeMutableRawPointer

    static func size(keySize: Int) -> Int { (12 + keySize + 7) & ~7 }

    /// Makes a leaf in memory of its ``size(keySize:)``.
    static func make(
        at base: UnsafeMutableRawPointer,
        key: UnsafeRawBufferPointer,
        newest: IndexVersion
    ) -> IndexLeaf {
        atomicWord(base).initialize(to: Atomic(UInt(bitPattern: newest.base)))
        base.storeBytes(of: UInt32(key.count), toByteOffset: 8, as: UInt32.self)
        _ = (base + 12).appending(key)
        return IndexLeaf(base: base)
    }

    @inline(__always)
    var key: UnsafeRawBufferPointer {
        let size = Int(base.load(fromByteOffset: 8, as: UInt32.self))
        return UnsafeRawBufferPointer(start: base + 12, count: size)
    }

    @inline(__always)
    var newest: IndexVersion? {
        IndexVersion(address: atomicWord(base).pointee.load(ordering: .acquiring))
    }

    func setNewest(_ version: IndexVersion) {
        atomicWord(base).pointee.store(UInt(bitPattern: version.base), ordering: .releasing)
    }

    /// The newest version at or below a sequence.
    @inline(__always)
    func version(at sequence: UInt64) -> IndexVersion? { newest?.at(sequence) }
}

/// A value of a key, or its tombstone, as of a sequence.
///
///   version := [-8 older version (atomic)]
///              0 sequence u64 | 8 valueSize u32 | 12 flags u8 | 16 value
///
/// The first version of a key has none that is older, and no room for it. The flags leave room for
/// versions with stamp and origin, and with an expiry.
package struct IndexVersion {
    let base: UnsafeMutableRawPointer

    static let tombstone: UInt8 = 1
    /// The first version of its key; set by the index alone.
    static let first: UInt8 = 0x80

    static func size(valueSize: Int, isFirst: Bool) -> Int {
        ((isFirst ? 16 : 24) + valueSize + 7) & ~7
    }

    /// Makes a version in memory of its ``size(valueSize:isFirst:)``.
    static func make(
        at memory: UnsafeMutableRawPointer,
        sequence: UInt64,
        flags: UInt8,
        value: UnsafeRawBufferPointer,
        older: IndexVersion?
    ) -> IndexVersion {
        var base = memory
        if let older {
            atomicWord(memory).initialize(to: Atomic(UInt(bitPattern: older.base)))
            base += 8
        }
        base.storeBytes(of: sequence, as: UInt64.self)
        base.storeBytes(of: UInt32(value.count), toByteOffset: 8, as: UInt32.self)
        let allFlags = older == nil ? flags | first : flags
        base.storeBytes(of: allFlags, toByteOffset: 12, as: UInt8.self)
        _ = (base + 16).appending(value)
        return IndexVersion(base: base)
    }

    init(base: UnsafeMutableRawPointer) { self.base = base }

    @inline(__always)
    init?(address: UInt) {
        guard let base = UnsafeMutableRawPointer(bitPattern: address) else { return nil }
        self.base = base
    }

    @inline(__always)
    package var sequence: UInt64 { base.load(as: UInt64.self) }
    @inline(__always)
    private var flags: UInt8 { base.load(fromByteOffset: 12, as: UInt8.self) }
    @inline(__always)
    package var isTombstone: Bool { flags & Self.tombstone != 0 }
    @inline(__always)
    private var isFirst: Bool { flags & Self.first != 0 }

    @inline(__always)
    package var value: UnsafeRawBufferPointer {
        let size = Int(base.load(fromByteOffset: 8, as: UInt32.self))
        return UnsafeRawBufferPointer(start: base + 16, count: size)
    }

    /// Bytes of the arena that the version takes.
    var size: Int { Self.size(valueSize: value.count, isFirst: isFirst) }

    @inline(__always)
    var next: IndexVersion? {
        if isFirst { return nil }
        return IndexVersion(address: atomicWord(base - 8).pointee.load(ordering: .acquiring))
    }

    /// The first version from here on that is at or below a sequence.
    @inline(__always)
    func at(_ sequence: UInt64) -> IndexVersion? {
        guard self.sequence > sequence else { return self }
        var version = next
        while let found = version, found.sequence > sequence { version = found.next }
        return version
    }

    /// Changes what comes behind a version that is not the first.
    func setNext(_ version: IndexVersion?) {
        let address = version.map { UInt(bitPattern: $0.base) } ?? 0
        atomicWord(base - 8).pointee.store(address, ordering: .releasing)
    }
}
