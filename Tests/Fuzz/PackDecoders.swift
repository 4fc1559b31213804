@testable import StorageEngine

/// Packs one behind the other, as they come from a socket or a queue: those of whole records, and
/// the parts of large ones. The input is a row of packs, each with its size before it, in 4 bytes.
enum PackRowDecoder: FuzzedDecoder {
    static let name = "pack"
    /// So that a record of some kilobytes comes in parts.
    static let sizeMax = PackFormat.sizeMin

    /// The input that stands for packs.
    static func input(_ packs: [[UInt8]]) -> [UInt8] {
        packs.flatMap { pack in
            (0..<4).map { UInt8(truncatingIfNeeded: pack.count >> (8 * $0)) } + pack
        }
    }

    static func check(_ input: UnsafeRawBufferPointer) {
        let packs = PackRow.resealed(packs(of: input))
        check(packs, sizeMax: sizeMax)
        check(packs, sizeMax: PackFormat.sizeMax)
    }

    private static func packs(of input: UnsafeRawBufferPointer) -> [[UInt8]] {
        var reader = ByteReader(input)
        var packs: [[UInt8]] = []
        while let size = reader.uint32() {
            guard let bytes = reader.bytes(min(Int(size), reader.remaining)) else { break }
            packs.append(bytes.copied)
        }
        return packs
    }

    private static func check(_ packs: [[UInt8]], sizeMax: Int) {
        var decoder = PackDecoder(sizeMax: sizeMax)
        for pack in packs {
            pack.withUnsafeBytes { bytes in
                _ = accepted { () throws(EngineError) in try decoder.decode(bytes) { check($0) } }
            }
        }
    }

    /// Records that were handed on are consecutive, and encode to packs that decode to them.
    private static func check(_ records: PackedRecords) {
        let header = records.header
        var encoder = PackEncoder(historyID: header.historyID, sizeMax: sizeMax)
        encoder.begin(
            header.epoch,
            startsEpoch: header.flags.contains(.startsEpoch),
            after: header.previousSequence,
            logHash: header.logHashBefore
        )
        var packs: [[UInt8]] = []
        var heads: [RecordHead] = []
        var last = header.previousSequence
        records.forEach { record in
            precondition(record.head.previousSequence == last, "records are consecutive")
            precondition(record.digest == LogHash.digest(record.operations))
            last = record.head.sequence
            heads.append(record.head)
            OperationsDecoder.check(record.operations)
            encoder.add(record.head, record.operations) { packs.append($0.copied) }
        }
        precondition(last == header.lastSequence && heads.count == header.recordCount)
        encoder.finish { packs.append($0.copied) }
        let again = decoded(packs)
        precondition(again.heads == heads, "packs decode to themselves")
        precondition(again.hash == header.logHashAfter)
    }

    /// What own packs hold, which nobody may refuse, and the log hash behind it.
    private static func decoded(_ packs: [[UInt8]]) -> (heads: [RecordHead], hash: UInt64) {
        var decoder = PackDecoder(sizeMax: sizeMax)
        var heads: [RecordHead] = []
        var hash: UInt64 = 0
        func take(_ records: PackedRecords) {
            records.forEach { heads.append($0.head) }
            hash = records.header.logHashAfter
        }
        for pack in packs {
            let isGood: Void? = pack.withUnsafeBytes { bytes in
                accepted { () throws(EngineError) in try decoder.decode(bytes) { take($0) } }
            }
            precondition(isGood != nil, "what was packed is accepted")
        }
        return (heads, hash)
    }
}

/// Makes the checks of packs right, as far as they still have a shape.
enum PackRow {
    private static let hashOffset = 96

    static func resealed(_ packs: [[UInt8]]) -> [[UInt8]] {
        var packs = packs
        for index in packs.indices { resealPayload(&packs[index]) }
        var index = 0
        while index < packs.count {
            guard let header = header(of: packs[index]) else {
                index += 1
                continue
            }
            // The parts of a record are hashed together.
            var end = index + 1
            var raw = payload(of: packs[index], header)
            if header.flags.contains(.part) {
                while end < packs.count, let next = Self.header(of: packs[end]),
                    next.isSameRecord(as: header), next.partStart > 0
                {
                    raw += payload(of: packs[end], next)
                    end += 1
                }
            }
            if let hash = logHash(of: raw, header) {
                for part in index..<end {
                    packs[part].store(hash, at: hashOffset)
                    sealHeader(&packs[part])
                }
            }
            index = end
        }
        return packs
    }

    /// Makes the size and the hash of the payload right, and the header's check.
    private static func resealPayload(_ pack: inout [UInt8]) {
        let start = PackFormat.headerSize
        guard pack.count >= start else { return }
        pack.store(UInt64(pack.count - start), at: 120)
        if pack[104] & 1 != 0 { pack.store(UInt64(pack.count - start), at: 112) }
        pack.store(pack.hash(start..<pack.count), at: 128)
        sealHeader(&pack)
    }

    private static func sealHeader(_ pack: inout [UInt8]) {
        pack.store(pack.hash(0..<PackFormat.headerSize - 8), at: PackFormat.headerSize - 8)
    }

    private static func header(of pack: [UInt8]) -> PackHeader? {
        pack.withUnsafeBytes { bytes in
            accepted { () throws(EngineError) in try PackHeader(decoding: bytes) }
        }
    }

    /// The payload as it was before it was compressed; nothing when it is malformed.
    private static func payload(of pack: [UInt8], _ header: PackHeader) -> [UInt8] {
        let stored = Array(pack.dropFirst(PackFormat.headerSize))
        guard !header.flags.contains(.storedRaw), header.rawSize <= PackFormat.sizeMax else {
            return stored
        }
        var raw = ByteBuffer(capacity: header.rawSize)
        let isGood = stored.withUnsafeBytes {
            LZ4.decompress(
                $0,
                to: raw.reserve(header.rawSize),
                size: header.rawSize,
                dictionarySize: 0
            )
        }
        guard isGood else { return [] }
        raw.advance(by: header.rawSize)
        return raw.bytes.copied
    }

    /// The log hash with the last record; `nil` when they are malformed.
    private static func logHash(of raw: [UInt8], _ header: PackHeader) -> UInt64? {
        raw.withUnsafeBytes { bytes in
            accepted { () throws(DecodingFailure) in
                var reader = ByteReader(bytes)
                var hash = header.initialHash
                var previous: (sequence: UInt64, stamp: UInt64) = (header.previousSequence, 0)
                while reader.remaining > 0 {
                    var size = 0
                    let head = try RecordHead(
                        &reader,
                        previousSequence: previous.sequence,
                        previousStamp: previous.stamp,
                        operationsSize: &size
                    )
                    guard let operations = reader.bytes(size) else {
                        throw DecodingFailure.malformed("operations")
                    }
                    hash = LogHash.next(hash, head, digest: LogHash.digest(operations))
                    previous = (head.sequence, head.stamp)
                }
                return hash
            }
        }
    }
}
