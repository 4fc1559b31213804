// Records from one node to another as one pack each time, however large a record is: who ships them
// says how many there are.

/// A pack that was verified: what its header says, and its records.
package struct UnpackedRecords: Sendable {
    package let header: PackHeader
    package let records: RecordBatch
}

extension RecordBatch {
    /// The most bytes of operations that are unpacked at once.
    package static let packSizeMax = PackFormat.wholeSizeMax

    /// The records as one pack.
    ///
    /// - Parameters:
    ///   - historyID: Of the log that they are in.
    ///   - before: The log hash with the record before them, and before the epoch that they begin.
    ///   - startsEpoch: Whether the first of them is the first of its epoch.
    /// - Returns: The pack, and the size of its records before they were compressed.
    package func packed(
        of historyID: UniqueID,
        after before: UInt64,
        startsEpoch: Bool
    ) -> (bytes: [UInt8], rawSize: Int) {
        var encoder = PackEncoder(historyID: historyID, sizeMax: PackFormat.wholeSizeMax)
        encoder.begin(
            epoch,
            startsEpoch: startsEpoch,
            after: previousSequence,
            logHash: before
        )
        var packs: [[UInt8]] = []
        let keep = { (pack: UnsafeRawBufferPointer) in packs.append(Array(pack)) }
        for entry in entries {
            withOperations(of: entry) { operations in
                encoder.add(entry.head, operations, keep)
            }
        }
        let rawSize = encoder.waitingSize
        encoder.finish(keep)
        precondition(packs.count == 1, "what was read at once fits into a pack")
        return (packs[0], rawSize)
    }
}

extension UnpackedRecords {
    /// Verifies a pack, and copies its records. The bytes may be hostile; no memory is taken before
    /// the header was believed.
    ///
    /// - Parameters:
    ///   - bytes: The pack.
    ///   - sizeMax: The most bytes of its records before they were compressed, header included.
    ///
    /// - Throws: ``EngineError`` with code `corruption`, `unsupportedFormat` or `invalidArgument`.
    package init(_ bytes: [UInt8], sizeMax: Int) throws(EngineError) {
        var decoder = PackDecoder(
            sizeMax: min(max(sizeMax, PackFormat.sizeMin), PackFormat.wholeSizeMax)
        )
        var found: UnpackedRecords?
        try bytes.span.withUnsafeBytes { bytes throws(EngineError) in
            try decoder.decode(bytes) { packed throws(EngineError) in
                var builder = RecordBatch.Builder(
                    epoch: packed.header.epoch,
                    previousSequence: packed.header.previousSequence,
                    hashBefore: packed.header.initialHash
                )
                packed.forEach { record in
                    builder.append(record.head, hash: record.logHash, operations: record.operations)
                }
                found = UnpackedRecords(header: packed.header, records: builder.finish())
            }
        }
        guard let found else { throw .invalidArgument("a part of a record where a whole was due") }
        self = found
    }
}
