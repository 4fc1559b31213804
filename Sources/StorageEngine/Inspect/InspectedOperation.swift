/// One operation of a record, or what a segment holds of one, copied.
package struct InspectedOperation: Hashable, Sendable {
    package let kind: OperationKind
    /// The least key of a range delete.
    package let key: [UInt8]
    /// `nil`, but for a put.
    package let value: [UInt8]?
    /// The key behind the last one of a range delete; `nil` for no bound.
    package let upper: [UInt8]?

    private init(_ operation: Operation) {
        kind = operation.kind
        key = Array(operation.key)
        value = operation.kind == .put ? Array(operation.value) : nil
        upper = operation.upper.map { Array($0) }
    }

    /// A version that a segment holds.
    init(_ entry: SegmentEntry) {
        kind = entry.isTombstone ? .delete : .put
        key = Array(entry.key)
        value = entry.isTombstone ? nil : Array(entry.value)
        upper = nil
    }

    /// A piece of a range tombstone.
    init(_ fragment: RangeFragment) {
        kind = .rangeDelete
        key = fragment.lower
        value = nil
        upper = fragment.upper
    }

    /// Whether the operation changes a key in a range.
    package func touches(_ keys: KeyRange) -> Bool {
        guard kind == .rangeDelete else { return keys.contains(key) }
        return !KeyRange(from: key, to: upper).intersection(keys).isEmpty
    }

    /// Whether the operation changes a key.
    package func touches(_ other: [UInt8]) -> Bool {
        kind == .rangeDelete ? KeyRange(from: key, to: upper).contains(other) : key == other
    }

    /// The operations of a record. The bytes may be hostile.
    package static func all(_ operations: [UInt8]) throws(EngineError) -> [InspectedOperation] {
        var found: [InspectedOperation] = []
        do throws(DecodingFailure) {
            try operations.span.withUnsafeBytes { bytes throws(DecodingFailure) in
                var reader = OperationReader(bytes)
                while let operation = try reader.next() {
                    found.append(InspectedOperation(operation))
                }
            }
        } catch {
            throw EngineError(.corruption, "decoding a record's operations: \(error.reason)")
        }
        return found
    }
}
