/// Reads hostile bytes from front to back: every read checks what is left and returns `nil` when
/// there is not enough.
package struct ByteReader {
    private let base: UnsafeRawBufferPointer
    package private(set) var offset = 0

    package init(_ bytes: UnsafeRawBufferPointer) { base = bytes }

    package var remaining: Int { base.count - offset }

    package mutating func byte() -> UInt8? {
        guard remaining >= 1 else { return nil }
        defer { offset += 1 }
        return base[offset]
    }

    package mutating func uint32() -> UInt32? {
        guard remaining >= 4 else { return nil }
        defer { offset += 4 }
        return UInt32(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    package mutating func uint64() -> UInt64? {
        guard remaining >= 8 else { return nil }
        defer { offset += 8 }
        return UInt64(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    package mutating func uniqueID() -> UniqueID? {
        guard let high = uint64(), let low = uint64() else { return nil }
        return UniqueID(high: high, low: low)
    }

    /// Reads a varint. Encodings that are longer than needed, or over 64 bits, are refused, so that
    /// equal values have equal bytes.
    @inline(__always)
    package mutating func varint() -> UInt64? {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while let next = byte() {
            if shift == 63, next > 1 { return nil }
            value |= UInt64(next & 0x7f) << shift
            if next < 0x80 { return next == 0 && shift > 0 ? nil : value }
            shift += 7
            if shift > 63 { return nil }
        }
        return nil
    }

    /// Reads a varint that counts bytes or items, up to a limit.
    package mutating func size(max: Int) -> Int? {
        guard let value = varint(), value <= UInt64(max) else { return nil }
        return Int(value)
    }

    package mutating func bytes(_ size: Int) -> UnsafeRawBufferPointer? {
        guard size >= 0, remaining >= size else { return nil }
        defer { offset += size }
        return UnsafeRawBufferPointer(rebasing: base[offset..<offset + size])
    }
}
