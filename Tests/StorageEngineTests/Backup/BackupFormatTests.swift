import Testing

@testable import StorageEngine

/// The bytes of a backup's list. A change here is a new format version.
@Suite struct BackupFormatTests {
    @Test func aList() throws {
        let state = try Self.state()
        let list = BackupList(
            historyID: UniqueID(high: 0x0102_0304_0506_0708, low: 0x1112_1314_1516_1718),
            memberID: UniqueID(high: 0x2122_2324_2526_2728, low: 0x3132_3334_3536_3738),
            number: 9,
            time: 0x0a0b,
            end: LogEnd(fileNumber: 5, length: 6000, lastSequence: 45, logHash: 0x5a5a),
            lastStamp: 0x0d0e,
            epoch: Epoch(number: 3, starter: 0xaabb_ccdd_eeff_0011),
            logs: [SavedFile(kind: .log, number: 5, size: 6000, checksum: 0x5566)],
            state: state
        )

        let encoded = list.encoded()
        let bytes = Array(encoded.bytes)

        var snapshot = ByteBuffer()
        state.snapshot.encode(into: &snapshot)
        #expect(bytes.count == 160 + 2 * 32 + snapshot.count + 8)
        #expect(bytes[0..<8].elementsEqual("SEBACKP\n".utf8))
        #expect(
            bytes[8..<32].hex == "01000000" + "a0000000" + "0000000000000000" + "0000000000000000"
        )
        #expect(
            bytes[32..<64].hex
                == "0807060504030201" + "1817161514131211" + "2827262524232221"
                + "3837363534333231"
        )
        #expect(bytes[64..<80].hex == "0900000000000000" + "0b0a000000000000")
        #expect(
            bytes[80..<112].hex
                == "0500000000000000" + "7017000000000000" + "2d00000000000000"
                + "5a5a000000000000"
        )
        #expect(
            bytes[112..<144].hex
                == "0e0d000000000000" + "0300000000000000" + "1100ffeeddccbbaa"
                + "0200000000000000"
        )
        #expect(bytes[144] == UInt8(snapshot.count) && bytes[145..<152].allSatisfy { $0 == 0 })
        #expect(
            bytes[160..<192].hex
                == "0100000000000000" + "0700000000000000" + "2211000000000000"
                + "4433000000000000"
        )
        #expect(
            bytes[192..<224].hex
                == "0200000000000000" + "0500000000000000" + "7017000000000000"
                + "6655000000000000"
        )
        #expect(bytes[224..<224 + snapshot.count].elementsEqual(snapshot.bytes))
        let covered = Array(bytes.dropLast(8)).withUnsafeBytes { Checksum.xxh3($0) }
        #expect(bytes.suffix(8).hex == hexadecimal(covered.byteSwapped))
        let decoded = try bytes.span.withUnsafeBytes { bytes throws(EngineError) in
            try BackupList(decoding: bytes, file: "test")
        }
        #expect(decoded == list)
    }

    private static func state() throws -> ManifestState {
        var info = SegmentInfo(number: 7)
        info.size = 0x1122
        info.checksum = 0x3344
        info.smallest = [0x61]
        info.largest = [0x62]
        info.maxSequence = 40
        var edit = VersionEdit()
        edit.added = [LevelSegment(level: 1, info: info)]
        edit.nextSegmentNumber = 8
        edit.flushed = FlushMark(epoch: Epoch(number: 1, starter: 2), sequence: 40, logHash: 3)
        edit.logStart = LogEnd(fileNumber: 4, length: 5000, lastSequence: 30, logHash: 5)
        var state = ManifestState()
        try state.apply(edit)
        return state
    }
}
