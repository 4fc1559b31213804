import Testing

@testable import StorageEngine

/// The bytes of every format. A change here is a new format version.
@Suite struct FormatGoldenTests {
    private let historyID = UniqueID(high: 0x0102_0304_0506_0708, low: 0x1112_1314_1516_1718)
    private let memberID = UniqueID(high: 0x2122_2324_2526_2728, low: 0x3132_3334_3536_3738)
    private let epoch = Epoch(number: 3, starter: 0xaabb_ccdd_eeff_0011)

    @Test func operations() throws {
        var batch = WriteBatch()
        try batch.put("value", for: "key")
        try batch.delete("gone")
        try batch.put([], for: "")

        let bytes = batch.withOperations { Array($0) }

        // kind, keyspace, key size, key, value size, value; kind 2 has no value.
        #expect(bytes.hex == "0100036b6579" + "0576616c7565" + "020004676f6e65" + "0100" + "0000")
    }

    @Test func rangeDeletes() throws {
        var batch = WriteBatch()
        try batch.put("1", for: "b")
        try batch.deleteRange(KeyRange(from: Array("a".utf8), to: Array("bcd".utf8)))
        try batch.deleteRange(KeyRange(from: Array("x".utf8)))
        try batch.deleteRange(.all)
        try batch.delete("c")

        let bytes = batch.withOperations { Array($0) }

        // kind, keyspace, key size, key, upper size + 1, upper; 0 for no bound. The put went away.
        #expect(
            bytes.hex == "03000161" + "04626364" + "03000178" + "00" + "03000000" + "02000163"
        )
    }

    @Test func recordHeads() {
        let data = RecordHead(
            kind: .data,
            sequence: 300,
            previousSequence: 298,
            stamp: 0x0001_0000
        )
        let noOp = RecordHead(kind: .noOp, sequence: 1, previousSequence: 0, stamp: 5)
        let foreign = RecordHead(
            kind: .data,
            sequence: 8,
            previousSequence: 7,
            stamp: 1,
            origin: RecordOrigin(
                historyID: historyID,
                epoch: epoch,
                sequence: 100,
                previousSequence: 99
            )
        )

        // head, sequence delta, zigzag stamp delta, size of the operations.
        #expect(
            data.bytes(previousStamp: 0, operationsSize: 130) == "01" + "02" + "808008" + "8201"
        )
        #expect(noOp.bytes(previousStamp: 6, operationsSize: 0) == "02" + "01" + "01" + "00")
        #expect(
            foreign.bytes(previousStamp: 1, operationsSize: 0)
                == "11" + "01" + "00" + "32" + "02" + "30"
                + "0807060504030201" + "1817161514131211" + "0300000000000000"
                + "1100ffeeddccbbaa" + "6400000000000000" + "6300000000000000" + "00"
        )
    }

    @Test func logHashes() {
        let head = RecordHead(kind: .data, sequence: 2, previousSequence: 1, stamp: 7)
        var covered = ByteBuffer()
        covered.append(UInt64(0x1234))
        covered.append(UInt64(2))
        covered.append(UInt64(7))
        covered.append(UInt8(1))
        covered.append(UInt8(0))
        covered.append(UInt64(0x5678))
        var begun = ByteBuffer()
        begun.append(epoch.number)
        begun.append(epoch.starter)

        #expect(LogHash.next(0x1234, head, digest: 0x5678) == Checksum.xxh3(covered.bytes))
        #expect(
            LogHash.begin(epoch, after: 0x1234) == Checksum.xxh3(begun.bytes, seed: 0x1234)
        )
        // XXH3-64 of nothing, as its authors give it.
        #expect(Checksum.xxh3(.init(start: nil, count: 0)) == 0x2d06_8005_38d3_94c2)
    }

    @Test func logFileHeader() throws {
        let header = LogFileHeader(
            identity: LogFileIdentity(historyID: historyID, memberID: memberID, fileNumber: 7),
            baseStamp: 0x0042,
            predecessor: LogEnd(fileNumber: 6, length: 4200, lastSequence: 99, logHash: 0x5a5a),
            startsEpoch: true,
            epochs: [EpochEntry(epoch: epoch, lastSequenceBefore: 99, logHashBefore: 0x5a5a)]
        )

        let encoded = header.encoded()
        let bytes = Array(encoded.bytes)

        #expect(bytes.count == 4096)
        #expect(bytes[0..<8].elementsEqual("SEWALOG\n".utf8))
        #expect(
            bytes[8..<32].hex == "02000000" + "00100000" + "0000000000000000" + "0000000000000000"
        )
        #expect(bytes[32..<64].hex == Self.identities)
        #expect(
            bytes[64..<104].hex
                == "0700000000000000" + "0300000000000000" + "1100ffeeddccbbaa"
                + "6400000000000000" + "4200000000000000"
        )
        #expect(
            bytes[104..<144].hex
                == "0600000000000000" + "6810000000000000" + "6300000000000000"
                + "5a5a000000000000" + "01000000" + "01000000"
        )
        #expect(
            bytes[144..<176].hex
                == "0300000000000000" + "1100ffeeddccbbaa" + "6300000000000000"
                + "5a5a000000000000"
        )
        #expect(bytes[176..<4088].allSatisfy { $0 == 0 })
        let decoded = try bytes.span.withUnsafeBytes { bytes throws(EngineError) in
            try LogFileHeader(decoding: bytes, file: "test")
        }
        #expect(decoded == header)
    }

    private static let identities =
        "0807060504030201" + "1817161514131211" + "2827262524232221" + "3837363534333231"

    @Test func storeMark() throws {
        let mark = StoreMark(
            historyID: historyID,
            memberID: memberID,
            floor: LogEnd(fileNumber: 6, length: 4200, lastSequence: 99, logHash: 0x5a5a),
            manifest: 0x0b0c,
            lastStamp: 0x0d0e
        )

        let encoded = mark.encoded()
        let bytes = Array(encoded.bytes)

        #expect(bytes.count == 120)
        #expect(bytes[0..<8].elementsEqual("SESTORE\n".utf8))
        #expect(
            bytes[8..<32].hex == "02000000" + "78000000" + "0000000000000000" + "0000000000000000"
        )
        #expect(bytes[32..<64].hex == Self.identities)
        #expect(
            bytes[64..<112].hex
                == "0600000000000000" + "6810000000000000" + "6300000000000000"
                + "5a5a000000000000" + "0c0b000000000000" + "0e0d000000000000"
        )
        let decoded = try bytes.span.withUnsafeBytes { bytes throws(EngineError) in
            try StoreMark(decoding: bytes)
        }
        #expect(decoded == mark)
    }

    @Test func frames() throws {
        let header = LogFileHeader(
            identity: LogFileIdentity(historyID: historyID, memberID: memberID, fileNumber: 1),
            baseStamp: 0,
            predecessor: .start,
            startsEpoch: true,
            epochs: [EpochEntry(epoch: epoch, lastSequenceBefore: 0, logHashBefore: 0)]
        )
        var encoder = FrameEncoder()
        var place = FrameEncoder.Place(
            stream: header.frames,
            offset: 4096,
            syncedThrough: 4096
        )
        var buffer = LogBuffer()
        buffer.append("a", sequence: 1)
        encoder.encode(buffer, at: &place)
        let first = encoder.output.count
        buffer.removeAll()
        buffer.append("b", sequence: 2)
        encoder.encode(buffer, at: &place)
        let second = encoder.output.count
        encoder.encodeMarker(lastSequence: 2, at: &place)
        let third = encoder.output.count
        encoder.encodeSeal(RestartIndex(), lastSequence: 2, logHash: 9, at: &place)
        let bytes = Array(encoder.output.bytes)

        // Check, header size, flags, payload hash; stored, raw, previous, first, last, unsynced.
        let empty = Checksum.xxh3(.init(start: nil, count: 0))
        #expect(bytes[4..<6].hex == "1c" + "03")
        #expect(bytes[14..<28].hex == "090900010000" + "0100000000000000")
        #expect(bytes[28..<37].hex == "01010205" + "0100016100")
        #expect(bytes[37..<first].allSatisfy { $0 == 0 })
        #expect(first % 8 == 0 && second % 8 == 0 && third % 8 == 0)
        #expect(bytes[first + 4..<first + 6].hex == "14" + "01")
        #expect(bytes[first + 14..<first + 20].hex == "090901010005")
        #expect(bytes[second + 4..<second + 6].hex == "14" + "04")
        #expect(bytes[second + 6..<second + 14].hex == empty.littleEndianHex)
        #expect(bytes[second + 14..<second + 20].hex == "000002000009")
        #expect(bytes[third + 4..<third + 6].hex == "1c" + "08")
        #expect(bytes[third + 14..<third + 28].hex == "00000200000c" + "0900000000000000")
        var size = 0
        let decoded = bytes.withUnsafeBytes {
            FrameHeader(
                decoding: $0,
                at: 4096,
                of: header.frames,
                headerSize: &size
            )
        }
        #expect(
            size == 28 && decoded?.lastSequence == 1 && decoded?.flags == [.storedRaw, .restart]
        )
    }

    @Test func aFrameAtAnotherPlaceIsNone() {
        var bytes = [UInt8](repeating: 0, count: 80)
        let header = FrameHeader(
            flags: .syncMarker,
            payloadHash: 1,
            storedSize: 0,
            rawSize: 0,
            previousSequence: 5,
            firstSequence: 5,
            lastSequence: 5,
            syncedThrough: 4096,
            logHash: nil
        )
        let size = bytes.withUnsafeMutableBytes {
            header.encode(to: $0.baseAddress.unsafelyUnwrapped, at: 8192, seed: 77, base: 0)
        }

        func decode(at offset: UInt64, seed: UInt64) -> FrameHeader? {
            var size = 0
            return bytes.withUnsafeBytes {
                FrameHeader(decoding: $0, at: offset, seed: seed, base: 0, headerSize: &size)
            }
        }

        #expect(size == 21)
        #expect(decode(at: 8192, seed: 77) == header)
        #expect(decode(at: 8200, seed: 77) == nil)
        #expect(decode(at: 8192, seed: 78) == nil)
    }
}

extension Sequence<UInt8> {
    var hex: String {
        map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}

extension UInt64 {
    fileprivate var littleEndianHex: String {
        (0..<8).map { UInt8(truncatingIfNeeded: self >> (8 * UInt64($0))) }.hex
    }
}

extension RecordHead {
    fileprivate func bytes(previousStamp: UInt64, operationsSize: Int) -> String {
        var buffer = ByteBuffer()
        let target = buffer.reserve(Self.encodedSizeMax)
        buffer.advance(
            by: encode(to: target, previousStamp: previousStamp, operationsSize: operationsSize)
        )
        return buffer.bytes.hex
    }
}

extension LogBuffer {
    /// A record that puts an empty value.
    fileprivate mutating func append(_ key: String, sequence: UInt64) {
        var operations = ByteBuffer()
        Array(key.utf8).withUnsafeBytes {
            operations.append(.put, key: $0, value: .init(start: nil, count: 0))
        }
        append(
            RecordHead(sequence: sequence, previousSequence: sequence - 1, stamp: sequence),
            hashBefore: sequence,
            hash: sequence + 1,
            operations: operations.bytes,
            large: nil
        )
    }
}
