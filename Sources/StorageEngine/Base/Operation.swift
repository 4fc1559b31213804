// The operations of a record: the ONE encoding that write batch, log, feed and replication share.
//
//   operations := operation*
//   operation  := kind:u8 keyspace:varint keySize:varint key [value | upper]
//   value      := valueSize:varint value
//   upper      := upperSize:varint+1 upper
//
// kind      1 put (with value), 2 delete (with neither), 3 range delete (with upper). 4 merge and
//           5 expiring put are reserved; a reader refuses every kind it does not know.
// keyspace  0; other keyspaces are refused for now.
// upper     The key behind the last one that is deleted; its size is written plus one, and 0 alone
//           for no bound. The key of a range delete is the least one. Key < upper.
//
// (1) A key occurs once as that of a put or a delete: the last operation on it wins, when the batch
//     is encoded. Range deletes occur in any number, and may overlap.
// (2) A range delete removes what is older than its record, and nothing of its own record: puts and
//     deletes that came before it in the batch, on keys in its range, are left out when the batch
//     is encoded. So the order of operations says nothing.
// (3) keySize, upperSize <= 65,536, valueSize <= 64 MiB, all operations together <= 128 MiB,
//     inclusive.
//
// `FormatGoldenTests` pins these bytes.

/// What an operation does to its key, or to those from its key on.
package enum OperationKind: UInt8, Sendable {
    case put = 1
    case delete = 2
    case rangeDelete = 3
}

/// The limits of one write, all inclusive.
public enum Limits {
    /// The longest key: 65,536 bytes.
    public static let keySize = 65_536
    /// The longest value: 64 MiB.
    public static let valueSize = 64 << 20
    /// The largest encoded batch: 128 MiB.
    public static let batchSize = 128 << 20
}

/// One decoded operation; its bytes are borrowed from the encoding.
package struct Operation {
    package let kind: OperationKind
    /// The least key of a range delete.
    package let key: UnsafeRawBufferPointer
    /// Empty, but for a put.
    package let value: UnsafeRawBufferPointer
    /// The key behind the last one of a range delete; `nil` for no bound.
    package let upper: UnsafeRawBufferPointer?

    fileprivate init(
        _ kind: OperationKind,
        key: UnsafeRawBufferPointer,
        value: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0),
        upper: UnsafeRawBufferPointer? = nil
    ) {
        self.kind = kind
        self.key = key
        self.value = value
        self.upper = upper
    }
}

extension KeyRange {
    /// The keys of a range delete, copied.
    package init(_ operation: Operation) {
        self.init(from: Array(operation.key), to: operation.upper.map { Array($0) })
    }
}

/// Why operations or records could not be decoded.
package enum DecodingFailure: Error, Hashable {
    case malformed(String)
    /// Made by a newer version: an operation, record kind or field that is unknown here.
    case unsupported(String)

    package var reason: String {
        switch self {
        case .malformed(let reason), .unsupported(let reason): reason
        }
    }
}

/// Decodes operations one by one. The bytes may be hostile.
package struct OperationReader {
    private var reader: ByteReader

    package init(_ operations: UnsafeRawBufferPointer) { reader = ByteReader(operations) }

    /// The offset of the next operation.
    package var offset: Int { reader.offset }

    /// The next operation, `nil` at the end.
    package mutating func next() throws(DecodingFailure) -> Operation? {
        guard let code = reader.byte() else { return nil }
        guard let kind = OperationKind(rawValue: code) else {
            throw .unsupported("operation kind \(code)")
        }
        guard let keyspace = reader.varint() else { throw .malformed("keyspace") }
        guard keyspace == 0 else { throw .unsupported("keyspace \(keyspace)") }
        guard let keySize = reader.size(max: Limits.keySize), let key = reader.bytes(keySize) else {
            throw .malformed("key")
        }
        switch kind {
        case .put:
            guard let valueSize = reader.size(max: Limits.valueSize),
                let value = reader.bytes(valueSize)
            else { throw .malformed("value") }
            return Operation(kind, key: key, value: value)
        case .delete: return Operation(kind, key: key)
        case .rangeDelete: return Operation(kind, key: key, upper: try upper(above: key))
        }
    }

    private mutating func upper(
        above key: UnsafeRawBufferPointer
    ) throws(DecodingFailure) -> UnsafeRawBufferPointer? {
        guard let bound = reader.size(max: Limits.keySize + 1) else { throw .malformed("upper") }
        guard bound > 0 else { return nil }
        guard let upper = reader.bytes(bound - 1) else { throw .malformed("upper") }
        guard key.precedes(upper) else { throw .malformed("a range without keys") }
        return upper
    }
}

package enum OperationFormat {
    /// The most bytes an operation can take.
    package static func sizeMax(key: Int, value: Int) -> Int {
        2 + 2 * Varint.sizeMax + key + value
    }

    /// Writes a put or a delete and returns its size; the target has ``sizeMax(key:value:)`` bytes.
    /// The value is ignored for a delete.
    package static func encode(
        _ kind: OperationKind,
        key: UnsafeRawBufferPointer,
        value: UnsafeRawBufferPointer,
        to target: UnsafeMutableRawBufferPointer
    ) -> Int {
        precondition(kind != .rangeDelete)
        precondition(target.count >= sizeMax(key: key.count, value: value.count))
        guard let start = target.baseAddress else { return 0 }
        var target = start
        target.storeBytes(of: kind.rawValue, as: UInt8.self)
        target.storeBytes(of: 0, toByteOffset: 1, as: UInt8.self)
        target += 2
        target += Varint.encode(UInt64(key.count), to: target)
        target = target.appending(key)
        if kind == .put {
            target += Varint.encode(UInt64(value.count), to: target)
            target = target.appending(value)
        }
        return target - start
    }
}

extension ByteBuffer {
    /// Appends a range delete, whose range holds a key.
    package mutating func append(rangeDelete range: KeyRange) {
        append(OperationKind.rangeDelete.rawValue)
        append(varint: 0)
        append(varint: UInt64(range.lower.count))
        range.lower.withUnsafeBytes { append($0) }
        append(varint: range.upper.map { UInt64($0.count) + 1 } ?? 0)
        range.upper?.withUnsafeBytes { append($0) }
    }

    /// Appends a put or a delete; the value is ignored for a delete.
    package mutating func append(
        _ kind: OperationKind,
        key: UnsafeRawBufferPointer,
        value: UnsafeRawBufferPointer
    ) {
        let size = OperationFormat.sizeMax(key: key.count, value: value.count)
        let target = UnsafeMutableRawBufferPointer(start: reserve(size), count: size)
        advance(by: OperationFormat.encode(kind, key: key, value: value, to: target))
    }
}

extension UnsafeMutableRawPointer {
    /// Copies bytes to here and returns the place behind them.
    package func appending(_ bytes: UnsafeRawBufferPointer) -> UnsafeMutableRawPointer {
        guard let start = bytes.baseAddress else { return self }
        copyMemory(from: start, byteCount: bytes.count)
        return self + bytes.count
    }
}
