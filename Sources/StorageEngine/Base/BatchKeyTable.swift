internal import Glibc

/// Finds the operation of a key within a batch: an open-addressing table of offsets.
///
/// Thread safety: none; part of a ``WriteBatch``.
struct BatchKeyTable: Sendable {
    /// Offset of an operation plus one, 0 where free. The count is a power of two, at most half
    /// full.
    private var slots: [UInt32] = []
    private var used = 0

    mutating func removeAll() {
        guard used > 0 else { return }
        used = 0
        slots.withUnsafeMutableBufferPointer { $0.update(repeating: 0) }
    }

    var isEmpty: Bool { used == 0 }

    /// Enters an operation whose key is not there yet.
    mutating func insert(operationAt offset: Int, in bytes: UnsafeRawBufferPointer) {
        _ = insert(key: Self.key(at: offset, in: bytes), at: offset, in: bytes)
    }

    /// Enters a key's operation and returns the offset of the one it replaces.
    mutating func insert(
        key: UnsafeRawBufferPointer,
        at offset: Int,
        in bytes: UnsafeRawBufferPointer
    ) -> Int? {
        if used * 2 >= slots.count { grow(bytes) }
        let slot = find(key, in: bytes)
        let old = slots[slot]
        slots[slot] = UInt32(offset) + 1
        if old == 0 { used += 1 }
        return old == 0 ? nil : Int(old) - 1
    }

    /// Undoes the last ``insert(key:at:in:)``.
    mutating func restore(
        key: UnsafeRawBufferPointer,
        to offset: Int?,
        in bytes: UnsafeRawBufferPointer
    ) {
        let slot = find(key, in: bytes)
        slots[slot] = offset.map { UInt32($0) + 1 } ?? 0
        if offset == nil { used -= 1 }
    }

    /// The offsets of all entered operations, in no order.
    var offsets: [Int] { slots.filter { $0 != 0 }.map { Int($0) - 1 } }

    /// The slot that holds a key, or the free one where it goes.
    private func find(_ key: UnsafeRawBufferPointer, in bytes: UnsafeRawBufferPointer) -> Int {
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: Checksum.xxh3(key)) & mask
        while slots[slot] != 0, !Self.key(at: Int(slots[slot]) - 1, in: bytes).isEqual(to: key) {
            slot = (slot + 1) & mask
        }
        return slot
    }

    private mutating func grow(_ bytes: UnsafeRawBufferPointer) {
        let old = slots
        slots = [UInt32](repeating: 0, count: max(64, old.count * 4))
        for entry in old where entry != 0 {
            slots[find(Self.key(at: Int(entry) - 1, in: bytes), in: bytes)] = entry
        }
    }

    /// The key of the operation at an offset.
    static func key(at offset: Int, in bytes: UnsafeRawBufferPointer)
        -> UnsafeRawBufferPointer
    {
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: bytes[(offset + 2)...]))
        guard let size = reader.varint(), let key = reader.bytes(Int(size)) else {
            preconditionFailure("a batch holds whole operations")
        }
        return key
    }
}

extension UnsafeRawBufferPointer {
    func isEqual(to other: UnsafeRawBufferPointer) -> Bool {
        guard count == other.count else { return false }
        guard let left = baseAddress, let right = other.baseAddress else { return true }
        return memcmp(left, right, count) == 0
    }

    /// Whether these bytes sort before others: unsigned, a prefix first.
    package func precedes(_ other: UnsafeRawBufferPointer) -> Bool {
        let common = Swift.min(count, other.count)
        if common > 0, let left = baseAddress, let right = other.baseAddress {
            let order = memcmp(left, right, common)
            if order != 0 { return order < 0 }
        }
        return count < other.count
    }
}
