// A record: one committed batch. Frames of the log hold records, and so will packs on their way to
// followers.
//
//   record := head:u8 sequenceDelta:varint stampDelta:zigzag-varint [fields]
//             operationsSize:varint operations
//   fields := size:varint (tag:varint size:varint byte*)*
//
// head           kind in the low four bits: 1 data, 2 no-op, 3 member change; flags in the high
//                four: 0x10 fields follow, the others are zero.
// sequenceDelta  from the predecessor's sequence, at least 1.
// stampDelta     from the stamp of the record before it in the same frame; from the log file's base
//                stamp for the first.
// fields         tag 2, origin: {history UUID, epoch number, epoch starter, sequence, previous
//                sequence} of a record born in another history, 48 bytes. Odd tags may be skipped
//                by a reader that does not know them, even ones are refused.
//
// The log hash names the history up to a record; all numbers little-endian:
//
//   h(n)   = XXH3-64 of { h(n-1), sequence, stamp, kind:u8, flags:u8, origin, digest }
//   digest = XXH3-64 of the operations; origin is 48 bytes, or absent
//   h     := XXH3-64 of { epoch number, epoch starter }, seeded with h, where an epoch begins
//
// Stamp: 48 bits of milliseconds since 1970, 16 bits of a counter; it never goes down.
//
// `FormatGoldenTests` pins these bytes.

package enum RecordKind: UInt8, Sendable {
    case data = 1
    case noOp = 2
    case memberChange = 3
}

/// The birthplace of a record that another history originated.
package struct RecordOrigin: Hashable, Sendable {
    package let historyID: UniqueID
    package let epoch: Epoch
    package let sequence: UInt64
    package let previousSequence: UInt64

    static let encodedSize = 48

    package init(
        historyID: UniqueID,
        epoch: Epoch,
        sequence: UInt64,
        previousSequence: UInt64
    ) {
        self.historyID = historyID
        self.epoch = epoch
        self.sequence = sequence
        self.previousSequence = previousSequence
    }
}

/// What a record says besides its operations.
package struct RecordHead: Hashable, Sendable {
    package let kind: RecordKind
    package let sequence: UInt64
    package let previousSequence: UInt64
    package let stamp: UInt64
    package let origin: RecordOrigin?

    package init(
        kind: RecordKind = .data,
        sequence: UInt64,
        previousSequence: UInt64,
        stamp: UInt64,
        origin: RecordOrigin? = nil
    ) {
        self.kind = kind
        self.sequence = sequence
        self.previousSequence = previousSequence
        self.stamp = stamp
        self.origin = origin
    }

    /// The most bytes a head takes, with the size of the operations.
    package static let encodedSizeMax = 1 + 3 * Varint.sizeMax + 3 + RecordOrigin.encodedSize

    private static let hasFields: UInt8 = 0x10
    private static let originTag: UInt64 = 2

    /// The flags that are stored, and part of the log hash.
    var flags: UInt8 { origin == nil ? 0 : Self.hasFields }

    /// Writes the head and the size of the operations that follow; returns the size.
    /// The target has room for ``encodedSizeMax`` bytes.
    func encode(
        to start: UnsafeMutableRawPointer,
        previousStamp: UInt64,
        operationsSize: Int
    ) -> Int {
        precondition(sequence > previousSequence)
        var target = start
        target.storeBytes(of: kind.rawValue | flags, as: UInt8.self)
        target += 1
        target += Varint.encode(sequence - previousSequence, to: target)
        let stampDelta = Int64(bitPattern: stamp &- previousStamp)
        target += Varint.encode(Varint.zigzag(stampDelta), to: target)
        if let origin { target += Self.encodeFields(origin, to: target) }
        target += Varint.encode(UInt64(operationsSize), to: target)
        return target - start
    }

    private static func encodeFields(
        _ origin: RecordOrigin,
        to target: UnsafeMutableRawPointer
    ) -> Int {
        target.storeBytes(of: UInt8(RecordOrigin.encodedSize + 2), as: UInt8.self)
        target.storeBytes(of: UInt8(originTag), toByteOffset: 1, as: UInt8.self)
        target.storeBytes(of: UInt8(RecordOrigin.encodedSize), toByteOffset: 2, as: UInt8.self)
        origin.encode(to: target + 3)
        return RecordOrigin.encodedSize + 3
    }

    /// Decodes a head and the size of its operations. The bytes may be hostile.
    init(
        _ reader: inout ByteReader,
        previousSequence: UInt64,
        previousStamp: UInt64,
        operationsSize: inout Int
    ) throws(DecodingFailure) {
        guard let head = reader.byte() else { throw .malformed("record head") }
        guard let kind = RecordKind(rawValue: head & 0x0f), head & 0xe0 == 0 else {
            throw .unsupported("record head \(head)")
        }
        guard let sequenceDelta = reader.varint(), sequenceDelta > 0 else {
            throw .malformed("record sequence")
        }
        let (sequence, overflow) = previousSequence.addingReportingOverflow(sequenceDelta)
        guard !overflow, let stampDelta = reader.varint() else { throw .malformed("record stamp") }
        self.kind = kind
        self.sequence = sequence
        self.previousSequence = previousSequence
        stamp = previousStamp &+ UInt64(bitPattern: Varint.unzigzag(stampDelta))
        origin = head & Self.hasFields == 0 ? nil : try Self.decodeFields(&reader)
        guard let size = reader.size(max: Limits.batchSize) else {
            throw .malformed("size of operations")
        }
        operationsSize = size
    }

    private static func decodeFields(
        _ reader: inout ByteReader
    ) throws(DecodingFailure) -> RecordOrigin? {
        guard let size = reader.size(max: Limits.batchSize), let bytes = reader.bytes(size) else {
            throw .malformed("record fields")
        }
        var fields = ByteReader(bytes)
        var origin: RecordOrigin?
        while fields.remaining > 0 {
            guard let tag = fields.varint(), let size = fields.size(max: fields.remaining),
                let field = fields.bytes(size)
            else { throw .malformed("record field") }
            if tag == originTag {
                guard origin == nil, let decoded = RecordOrigin(decoding: field) else {
                    throw .malformed("record origin")
                }
                origin = decoded
            } else if tag % 2 == 0 {
                throw .unsupported("record field \(tag)")
            }
        }
        // The flags of the log hash follow from the origin, so fields without one would not verify.
        guard origin != nil else { throw .unsupported("record fields without an origin") }
        return origin
    }
}

extension RecordOrigin {
    fileprivate func encode(to target: UnsafeMutableRawPointer) {
        let words = [
            historyID.high, historyID.low, epoch.number, epoch.starter, sequence, previousSequence,
        ]
        for (index, word) in words.enumerated() {
            target.storeBytes(of: word.littleEndian, toByteOffset: index * 8, as: UInt64.self)
        }
    }

    fileprivate init?(decoding bytes: UnsafeRawBufferPointer) {
        var reader = ByteReader(bytes)
        guard bytes.count == Self.encodedSize, let id = reader.uniqueID(),
            let number = reader.uint64(), let starter = reader.uint64(),
            let sequence = reader.uint64(), let previous = reader.uint64()
        else { return nil }
        self.init(
            historyID: id,
            epoch: Epoch(number: number, starter: starter),
            sequence: sequence,
            previousSequence: previous
        )
    }
}

/// The running hash over a history.
package enum LogHash {
    /// The hash up to and with a record, from the hash before it and the digest of its operations.
    package static func next(_ hash: UInt64, _ head: RecordHead, digest: UInt64) -> UInt64 {
        withUnsafeTemporaryAllocation(byteCount: 34 + RecordOrigin.encodedSize, alignment: 8) {
            scratch in
            guard let base = scratch.baseAddress else { return 0 }
            base.storeBytes(of: hash.littleEndian, as: UInt64.self)
            base.storeBytes(of: head.sequence.littleEndian, toByteOffset: 8, as: UInt64.self)
            base.storeBytes(of: head.stamp.littleEndian, toByteOffset: 16, as: UInt64.self)
            base.storeBytes(of: head.kind.rawValue, toByteOffset: 24, as: UInt8.self)
            base.storeBytes(of: head.flags, toByteOffset: 25, as: UInt8.self)
            var size = 26
            if let origin = head.origin {
                origin.encode(to: base + size)
                size += RecordOrigin.encodedSize
            }
            base.storeBytes(of: digest.littleEndian, toByteOffset: size, as: UInt64.self)
            return Checksum.xxh3(UnsafeRawBufferPointer(start: base, count: size + 8))
        }
    }

    /// The hash with which an epoch begins, from the hash before it.
    package static func begin(_ epoch: Epoch, after hash: UInt64) -> UInt64 {
        withUnsafeTemporaryAllocation(byteCount: 16, alignment: 8) { scratch in
            scratch.storeBytes(of: epoch.number.littleEndian, as: UInt64.self)
            scratch.storeBytes(of: epoch.starter.littleEndian, toByteOffset: 8, as: UInt64.self)
            return Checksum.xxh3(UnsafeRawBufferPointer(scratch), seed: hash)
        }
    }

    /// The digest of a record's encoded operations, computed before the record is sequenced.
    package static func digest(_ operations: UnsafeRawBufferPointer) -> UInt64 {
        Checksum.xxh3(operations)
    }
}
