/// A record of a pack, borrowed from it.
package struct PackedRecord {
    package let head: RecordHead
    package let operations: UnsafeRawBufferPointer
    /// XXH3-64 of the operations, as the log hash has it.
    package let digest: UInt64
    /// The log hash with this record.
    package let logHash: UInt64
}

/// The records of a pack, all of them verified; borrowed from the decoder until its next call.
package struct PackedRecords {
    /// Of the pack; of a record that came in parts, as if it had come in one.
    package let header: PackHeader
    private let raw: UnsafeRawBufferPointer

    /// Verifies all records; see (4) of `PackFormat.swift`. They may be hostile.
    fileprivate init(_ header: PackHeader, _ raw: UnsafeRawBufferPointer) throws(DecodingFailure) {
        self.header = header
        self.raw = raw
        var walk = Walk(self)
        while let record = try walk.next() {
            var reader = OperationReader(record.operations)
            while try reader.next() != nil {}
        }
        guard walk.count == header.recordCount, walk.sequence == header.lastSequence else {
            throw .malformed("\(walk.count) records up to sequence \(walk.sequence)")
        }
        guard walk.logHash == header.logHashAfter else {
            throw .malformed("log hash \(hexadecimal(walk.logHash)) after the last record")
        }
    }

    /// Calls a closure with each record, in order.
    package func forEach<E: Error>(_ body: (PackedRecord) throws(E) -> Void) throws(E) {
        var walk = Walk(self)
        while let record = walk.nextVerified() { try body(record) }
    }

    /// A walk over the records.
    private struct Walk {
        private var reader: ByteReader
        private let header: PackHeader
        private(set) var count = 0
        private(set) var sequence: UInt64
        private(set) var logHash: UInt64
        private var stamp: UInt64 = 0

        init(_ records: PackedRecords) {
            reader = ByteReader(records.raw)
            header = records.header
            sequence = header.previousSequence
            logHash = header.initialHash
        }

        mutating func next() throws(DecodingFailure) -> PackedRecord? {
            guard reader.remaining > 0 else { return nil }
            var size = 0
            let head = try RecordHead(
                &reader,
                previousSequence: sequence,
                previousStamp: stamp,
                operationsSize: &size
            )
            guard let operations = reader.bytes(size) else { throw .malformed("operations") }
            guard head.sequence <= header.lastSequence,
                count > 0 || head.sequence == header.firstSequence
            else { throw .malformed("sequence \(head.sequence)") }
            guard head.stamp >= stamp, head.stamp <= PackFormat.stampMax else {
                throw .malformed("stamp \(head.stamp)")
            }
            let digest = LogHash.digest(operations)
            logHash = LogHash.next(logHash, head, digest: digest)
            count += 1
            sequence = head.sequence
            stamp = head.stamp
            return PackedRecord(
                head: head,
                operations: operations,
                digest: digest,
                logHash: logHash
            )
        }

        mutating func nextVerified() -> PackedRecord? {
            do throws(DecodingFailure) {
                return try next()
            } catch {
                preconditionFailure("verified records decode: \(error.reason)")
            }
        }
    }
}

/// Decodes packs, and believes nothing unverified. See `PackFormat.swift`.
///
/// It takes no more memory than one pack, or one record that comes in parts, as far as it has come.
///
/// Thread safety: none; one owner.
package struct PackDecoder: ~Copyable {
    private let payloadMax: Int
    private var raw = ByteBuffer()
    /// The last part of a record of which more is to come, and the record up to there.
    private var part: PackHeader?
    private var record = ByteBuffer()

    /// - Parameter sizeMax: The most bytes of a pack, header included.
    package init(sizeMax: Int = PackFormat.sizeMax) {
        precondition(sizeMax >= PackFormat.sizeMin && sizeMax <= PackFormat.wholeSizeMax)
        payloadMax = sizeMax - PackFormat.headerSize
    }

    /// Whether a record has come in part.
    package var isWaiting: Bool { part != nil }

    /// Takes a pack, and hands its records to a closure; nothing when it is a part of a record of
    /// which more is to come, or has come before.
    ///
    /// - Throws: ``EngineError`` with code `corruption` or `unsupportedFormat`, its offset in the
    ///   pack; `logGap` when a part is missing; `invalidArgument` when the pack is larger than
    ///   agreed; or what the closure throws. A record that had come in part is forgotten then.
    package mutating func decode(
        _ bytes: UnsafeRawBufferPointer,
        _ body: (PackedRecords) throws(EngineError) -> Void
    ) throws(EngineError) {
        let waiting = part
        part = nil
        if waiting == nil, record.count > 0 { record = ByteBuffer() }
        let header = try PackHeader(decoding: bytes)
        guard header.rawSize <= payloadMax else {
            throw .invalidArgument(
                "a pack of \(header.rawSize) bytes, at most \(payloadMax) were agreed on"
            )
        }
        guard bytes.count == PackFormat.headerSize + header.storedSize else {
            throw Self.corrupt("\(bytes.count) bytes", at: bytes.count)
        }
        let stored = bytes[in: PackFormat.headerSize, header.storedSize]
        guard Checksum.xxh3(stored) == header.payloadHash else {
            throw Self.corrupt("wrong payload hash", at: PackFormat.headerSize)
        }
        let isPart = header.flags.contains(.part)
        guard waiting == nil || isPart else {
            throw EngineError(.logGap, "reading a pack: parts of the record before it are missing")
        }
        try decompress(stored, header)
        guard isPart else { return try handOn(header, raw.bytes, body) }
        guard let whole = try assemble(header, after: waiting) else { return }
        try handOn(whole, record.bytes, body)
    }

    /// Decompresses a payload into ``raw``.
    private mutating func decompress(
        _ stored: UnsafeRawBufferPointer,
        _ header: PackHeader
    ) throws(EngineError) {
        raw.removeAll()
        guard !header.flags.contains(.storedRaw) else { return raw.append(stored) }
        let target = raw.reserve(header.rawSize)
        guard LZ4.decompress(stored, to: target, size: header.rawSize, dictionarySize: 0) else {
            throw Self.corrupt("malformed payload", at: PackFormat.headerSize)
        }
        raw.advance(by: header.rawSize)
    }

    private func handOn(
        _ header: PackHeader,
        _ raw: UnsafeRawBufferPointer,
        _ body: (PackedRecords) throws(EngineError) -> Void
    ) throws(EngineError) {
        let records: PackedRecords
        do throws(DecodingFailure) {
            records = try PackedRecords(header, raw)
        } catch {
            switch error {
            case .malformed(let reason):
                throw Self.corrupt(reason, at: PackFormat.headerSize)
            case .unsupported(let reason):
                throw EngineError(.unsupportedFormat, "reading a pack: \(reason)")
            }
        }
        try body(records)
    }

    /// Puts a part, which is in ``raw``, behind those before it; returns the header of the whole
    /// record once it is complete.
    private mutating func assemble(
        _ header: PackHeader,
        after waiting: PackHeader?
    ) throws(EngineError) -> PackHeader? {
        let isFirst = header.partStart == 0
        let isNext = waiting.map { header.isSameRecord(as: $0) } ?? false
        guard isFirst || isNext, isFirst || header.partStart <= record.count else {
            let found = waiting == nil ? 0 : record.count
            throw EngineError(
                .logGap,
                "reading a pack: a part at \(header.partStart) of a record, of which \(found) "
                    + "bytes came before"
            )
        }
        if isNext, header.partStart + header.rawSize <= record.count {
            // It came before.
            part = waiting
            return nil
        }
        if isFirst { record = ByteBuffer(capacity: header.rawSize) }
        guard header.partStart == record.count else {
            throw Self.corrupt("a part that overlaps another", at: 136)
        }
        record.append(raw.bytes)
        guard record.count == header.recordSize else {
            part = header
            return nil
        }
        var whole = header
        whole.flags.subtract([.part, .storedRaw])
        whole.rawSize = record.count
        whole.storedSize = record.count
        whole.partStart = 0
        whole.recordSize = 0
        return whole
    }

    private static func corrupt(_ what: String, at offset: Int) -> EngineError {
        EngineError(.corruption, "reading a pack: \(what)", offset: UInt64(offset))
    }
}
