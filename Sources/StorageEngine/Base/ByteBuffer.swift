/// A growable run of raw bytes with one owner; what encoders write into.
///
/// Thread safety: none; the owner passes it on as a whole.
package struct ByteBuffer: ~Copyable, @unchecked Sendable {
    package private(set) var base: UnsafeMutableRawPointer
    package private(set) var capacity: Int
    package private(set) var count = 0

    package init(capacity: Int = 256) {
        self.capacity = max(capacity, 16)
        base = .allocate(byteCount: self.capacity, alignment: 16)
    }

    deinit { base.deallocate() }

    /// The bytes; valid until the next change.
    package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    /// A copy of the bytes.
    package var contents: [UInt8] { Array(bytes) }

    package mutating func removeAll() { count = 0 }

    /// Forgets the bytes behind a count.
    package mutating func truncate(to newCount: Int) {
        precondition(newCount <= count)
        count = newCount
    }

    /// Makes room for more bytes and returns where they go; ``advance(by:)`` then takes them in.
    package mutating func reserve(_ additional: Int) -> UnsafeMutableRawPointer {
        if capacity - count < additional { grow(to: count + additional) }
        return base + count
    }

    package mutating func advance(by size: Int) {
        precondition(size <= capacity - count)
        count += size
    }

    package mutating func append(_ source: UnsafeRawBufferPointer) {
        guard let start = source.baseAddress else { return }
        reserve(source.count).copyMemory(from: start, byteCount: source.count)
        count += source.count
    }

    package mutating func append(zeros size: Int) {
        guard size > 0 else { return }
        _ = reserve(size).initializeMemory(as: UInt8.self, repeating: 0, count: size)
        count += size
    }

    package mutating func append(_ byte: UInt8) {
        reserve(1).storeBytes(of: byte, as: UInt8.self)
        count += 1
    }

    package mutating func append(_ value: UInt32) {
        reserve(4).storeBytes(of: value.littleEndian, as: UInt32.self)
        count += 4
    }

    package mutating func append(_ value: UInt64) {
        reserve(8).storeBytes(of: value.littleEndian, as: UInt64.self)
        count += 8
    }

    package mutating func append(_ id: UniqueID) {
        append(id.high)
        append(id.low)
    }

    package mutating func append(varint value: UInt64) {
        count += Varint.encode(value, to: reserve(Varint.sizeMax))
    }

    /// Overwrites bytes that were appended before.
    package mutating func store(_ value: UInt32, at offset: Int) {
        precondition(offset + 4 <= count)
        (base + offset).storeBytes(of: value.littleEndian, as: UInt32.self)
    }

    package mutating func store(_ value: UInt64, at offset: Int) {
        precondition(offset + 8 <= count)
        (base + offset).storeBytes(of: value.littleEndian, as: UInt64.self)
    }

    private mutating func grow(to needed: Int) {
        let newCapacity = max(needed, capacity * 2)
        let newBase = UnsafeMutableRawPointer.allocate(byteCount: newCapacity, alignment: 16)
        newBase.copyMemory(from: base, byteCount: count)
        base.deallocate()
        base = newBase
        capacity = newCapacity
    }
}

/// Unsigned LEB128: seven bits a byte, the lowest first, the high bit set on all but the last.
package enum Varint {
    /// The longest encoding, in bytes.
    package static let sizeMax = 10

    /// Writes a value and returns its size; the target has room for ``sizeMax`` bytes.
    @inline(__always)
    package static func encode(_ value: UInt64, to target: UnsafeMutableRawPointer) -> Int {
        var rest = value
        var size = 0
        while rest >= 0x80 {
            target.storeBytes(
                of: UInt8(truncatingIfNeeded: rest) | 0x80,
                toByteOffset: size,
                as: UInt8.self
            )
            rest >>= 7
            size += 1
        }
        target.storeBytes(of: UInt8(truncatingIfNeeded: rest), toByteOffset: size, as: UInt8.self)
        return size + 1
    }

    /// The size of a value's encoding, in bytes.
    package static func size(of value: UInt64) -> Int {
        value == 0 ? 1 : (64 - value.leadingZeroBitCount + 6) / 7
    }

    /// Maps signed to unsigned, small magnitudes to small values.
    package static func zigzag(_ value: Int64) -> UInt64 {
        UInt64(bitPattern: (value << 1) ^ (value >> 63))
    }

    package static func unzigzag(_ value: UInt64) -> Int64 {
        Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }
}
