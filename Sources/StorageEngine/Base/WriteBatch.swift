/// Puts and deletes that take effect together or not at all.
///
/// The batch encodes each operation as it comes; of several operations on one key the last wins.
/// A batch may be written several times, and reused after ``removeAll()``.
///
/// Thread safety: none; it has one owner, and may be sent from thread to thread.
public struct WriteBatch: ~Copyable, Sendable {
    private var buffer = ByteBuffer()
    private var keys = BatchKeyTable()
    /// Bytes in the buffer of operations that a later one replaced.
    private var deadSize = 0

    /// How many keys the batch changes.
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

    /// Removes all operations and keeps the memory.
    public mutating func removeAll() {
        buffer.removeAll()
        keys.removeAll()
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
        // A single operation needs no table; the second brings the first in.
        if count > 0, keys.isEmpty { keys.insert(operationAt: 0, in: buffer.bytes) }
        let replaced = count == 0 ? nil : keys.insert(key: key, at: start, in: buffer.bytes)
        let replacedSize = replaced.map { Self.sizeOfOperation(at: $0, in: buffer.bytes) } ?? 0
        guard encodedSize - replacedSize <= Limits.batchSize else {
            if count > 0 { keys.restore(key: key, to: replaced, in: buffer.bytes) }
            let size = encodedSize - replacedSize
            buffer.truncate(to: start)
            return .invalidArgument(
                "batch of \(size) bytes, at most \(Limits.batchSize) are allowed"
            )
        }
        if replaced != nil {
            deadSize += replacedSize
            if deadSize > Limits.batchSize { compact() }
        } else {
            count += 1
        }
        return nil
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
        let isPut = bytes[offset] == OperationKind.put.rawValue
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: bytes[(offset + 2)...]))
        guard let keySize = reader.varint(), reader.bytes(Int(keySize)) != nil else {
            preconditionFailure("a batch holds whole operations")
        }
        if isPut {
            guard let valueSize = reader.varint(), reader.bytes(Int(valueSize)) != nil else {
                preconditionFailure("a batch holds whole operations")
            }
        }
        return reader.offset + 2
    }

    /// Calls a closure with the encoded operations, each key once.
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
        deadSize = 0
        var start = 0
        while start < buffer.count {
            keys.insert(operationAt: start, in: buffer.bytes)
            start += Self.sizeOfOperation(at: start, in: buffer.bytes)
        }
    }

    /// A copy without the replaced operations.
    private borrowing func compacted() -> ByteBuffer {
        var live = ByteBuffer(capacity: encodedSize)
        let offsets = keys.offsets(count: count).sorted()
        for offset in offsets {
            let size = Self.sizeOfOperation(at: offset, in: buffer.bytes)
            live.append(UnsafeRawBufferPointer(rebasing: buffer.bytes[offset..<offset + size]))
        }
        return live
    }
}
