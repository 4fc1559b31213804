/// Puts, deletes and range deletes that take effect together or not at all.
///
/// The batch encodes each operation as it comes; of several operations on one key the last wins.
/// A range delete removes what the batch did before to keys in its range; later operations stay.
/// A batch may be written several times, and reused after ``removeAll()``.
///
/// Thread safety: none; it has one owner, and may be sent from thread to thread.
public struct WriteBatch: ~Copyable, Sendable {
    private var buffer = ByteBuffer()
    /// The puts and deletes. A single operation, at offset 0, needs no table.
    private var keys = BatchKeyTable()
    /// The offsets of the range deletes, ascending.
    private var ranges: [Int] = []
    /// Bytes in the buffer of operations that a later one replaced or removed.
    private var deadSize = 0

    /// How many changes the batch makes: each key that is put or deleted is one, and each range.
    public private(set) var count = 0

    /// Makes an empty batch.
    public init() {}

    /// Whether the batch changes nothing.
    public var isEmpty: Bool { count == 0 }

    /// The size of the operations as they go to the log, in bytes.
    public var encodedSize: Int { buffer.count - deadSize }

    /// Sets the value of a key.
    ///
    /// - Throws: ``EngineError`` with code `invalidArgument` when key, value or batch would exceed
    ///   ``Limits``; the batch is then as it was.
    @inlinable
    public mutating func put<
        K: ByteSource & ~Copyable & ~Escapable,
        V: ByteSource & ~Copyable & ~Escapable
    >(_ value: borrowing V, for key: borrowing K) throws(EngineError) {
        try key.withBytes { (key: Span<UInt8>) throws(EngineError) in
            try value.withBytes { (value: Span<UInt8>) throws(EngineError) in
                try append(isPut: true, key: key, value: value)
            }
        }
    }

    /// Removes a key, whether it exists or not.
    ///
    /// - Throws: ``EngineError`` with code `invalidArgument` when key or batch would exceed
    ///   ``Limits``; the batch is then as it was.
    @inlinable
    public mutating func delete<K: ByteSource & ~Copyable & ~Escapable>(
        _ key: borrowing K
    ) throws(EngineError) {
        try key.withBytes { (key: Span<UInt8>) throws(EngineError) in
            try append(isPut: false, key: key, value: Span())
        }
    }

    /// Removes every key in a range. An empty range does nothing.
    ///
    /// It is one operation, however many keys there are. Earlier puts and deletes of the batch on
    /// keys in the range go away; later ones stay.
    ///
    /// - Complexity: O(puts and deletes in the batch).
    /// - Throws: ``EngineError`` with code `invalidArgument` when a bound or the batch would exceed
    ///   ``Limits``; the batch is then as it was.
    public mutating func deleteRange(_ range: KeyRange) throws(EngineError) {
        for bound in [range.lower, range.upper ?? []] {
            if let failure = Self.check(key: bound.count, value: 0) { throw failure }
        }
        guard !range.isEmpty else { return }
        let offsets = pointOffsets
        let left = offsets.filter {
            !range.contains(BatchKeyTable.key(at: $0, in: buffer.bytes))
        }
        let start = buffer.count
        buffer.append(rangeDelete: range)
        let removedSize = size(of: offsets) - size(of: left)
        guard encodedSize - removedSize <= Limits.batchSize else {
            let size = encodedSize - removedSize
            buffer.truncate(to: start)
            throw Self.tooLarge(size)
        }
        // From here on there is a table, also for a single put or delete.
        keys.removeAll()
        for offset in left { keys.insert(operationAt: offset, in: buffer.bytes) }
        ranges.append(start)
        count += 1 - (offsets.count - left.count)
        deadSize += removedSize
        if deadSize > Limits.batchSize { compact() }
    }

    /// Removes all operations and keeps the memory.
    public mutating func removeAll() {
        buffer.removeAll()
        keys.removeAll()
        ranges.removeAll(keepingCapacity: true)
        deadSize = 0
        count = 0
    }

    @usableFromInline
    mutating func append(
        isPut: Bool,
        key: Span<UInt8>,
        value: Span<UInt8>
    ) throws(EngineError) {
        let failure: EngineError? = key.withUnsafeBytes { key in
            value.withUnsafeBytes { value in
                append(isPut ? .put : .delete, key: key, value: value)
            }
        }
        if let failure { throw failure }
    }

    private mutating func append(
        _ kind: OperationKind,
        key: UnsafeRawBufferPointer,
        value: UnsafeRawBufferPointer
    ) -> EngineError? {
        if let failure = Self.check(key: key.count, value: value.count) { return failure }
        let start = buffer.count
        buffer.append(kind, key: key, value: value)
        // The second operation brings the first in.
        if count > 0, hasNoTable { keys.insert(operationAt: 0, in: buffer.bytes) }
        let replaced = count == 0 ? nil : keys.insert(key: key, at: start, in: buffer.bytes)
        let replacedSize = replaced.map { Self.sizeOfOperation(at: $0, in: buffer.bytes) } ?? 0
        guard encodedSize - replacedSize <= Limits.batchSize else {
            if count > 0 { keys.restore(key: key, to: replaced, in: buffer.bytes) }
            let size = encodedSize - replacedSize
            buffer.truncate(to: start)
            return Self.tooLarge(size)
        }
        if replaced != nil {
            deadSize += replacedSize
            if deadSize > Limits.batchSize { compact() }
        } else {
            count += 1
        }
        return nil
    }

    /// Whether the only operation, if there is one, is not in the table.
    private var hasNoTable: Bool { keys.isEmpty && ranges.isEmpty }

    /// The offsets of the puts and deletes, in no order.
    private var pointOffsets: [Int] {
        guard hasNoTable else { return keys.offsets }
        return count == 0 ? [] : [0]
    }

    private borrowing func size(of offsets: [Int]) -> Int {
        offsets.reduce(0) { $0 + Self.sizeOfOperation(at: $1, in: buffer.bytes) }
    }

    private static func tooLarge(_ size: Int) -> EngineError {
        .invalidArgument("batch of \(size) bytes, at most \(Limits.batchSize) are allowed")
    }

    private static func check(key: Int, value: Int) -> EngineError? {
        guard key <= Limits.keySize else {
            return .invalidArgument("key of \(key) bytes, at most \(Limits.keySize) are allowed")
        }
        guard value <= Limits.valueSize else {
            return .invalidArgument(
                "value of \(value) bytes, at most \(Limits.valueSize) are allowed"
            )
        }
        return nil
    }

    /// Checks one operation's sizes, for writes that need no batch.
    package static func check(
        key: UnsafeRawBufferPointer,
        value: UnsafeRawBufferPointer
    ) throws(EngineError) {
        if let failure = check(key: key.count, value: value.count) { throw failure }
    }

    /// The size of the operation at an offset.
    private static func sizeOfOperation(at offset: Int, in bytes: UnsafeRawBufferPointer) -> Int {
        var reader = OperationReader(UnsafeRawBufferPointer(rebasing: bytes[offset...]))
        do throws(DecodingFailure) {
            guard try reader.next() != nil else { preconditionFailure("a batch is not empty") }
        } catch {
            preconditionFailure("a batch holds whole operations: \(error.reason)")
        }
        return reader.offset
    }

    /// Calls a closure with the encoded operations, each key of a put or delete once.
    package borrowing func withOperations<R: ~Copyable, E: Error>(
        _ body: (UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        guard deadSize > 0 else { return try body(buffer.bytes) }
        let live = compacted()
        return try body(live.bytes)
    }

    /// Drops the replaced operations, so that offsets stay small however often keys are replaced.
    private mutating func compact() {
        buffer = compacted()
        keys.removeAll()
        ranges.removeAll(keepingCapacity: true)
        deadSize = 0
        var start = 0
        while start < buffer.count {
            if buffer.bytes[start] == OperationKind.rangeDelete.rawValue {
                ranges.append(start)
            } else {
                keys.insert(operationAt: start, in: buffer.bytes)
            }
            start += Self.sizeOfOperation(at: start, in: buffer.bytes)
        }
    }

    /// A copy without the replaced operations.
    private borrowing func compacted() -> ByteBuffer {
        var live = ByteBuffer(capacity: encodedSize)
        let offsets = (pointOffsets + ranges).sorted()
        for offset in offsets {
            let size = Self.sizeOfOperation(at: offset, in: buffer.bytes)
            live.append(UnsafeRawBufferPointer(rebasing: buffer.bytes[offset..<offset + size]))
        }
        return live
    }
}
