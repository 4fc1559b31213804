/// One operation of a record, copied.
package struct InspectedOperation: Hashable, Sendable {
    package let key: [UInt8]
    /// `nil` for a delete.
    package let value: [UInt8]?

    /// The operations of a record. The bytes may be hostile.
    package static func all(_ operations: [UInt8]) throws(EngineError) -> [InspectedOperation] {
        var found: [InspectedOperation] = []
        do throws(DecodingFailure) {
            try operations.span.withUnsafeBytes { bytes throws(DecodingFailure) in
                var reader = OperationReader(bytes)
                while let operation = try reader.next() {
                    let value = operation.kind == .put ? Array(operation.value) : nil
                    found.append(InspectedOperation(key: Array(operation.key), value: value))
                }
            }
        } catch {
            throw EngineError(.corruption, "decoding a record's operations: \(error.reason)")
        }
        return found
    }
}
