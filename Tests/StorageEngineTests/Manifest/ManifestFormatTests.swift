import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// The bytes of the manifest. A change here is a new format version.
@Suite struct ManifestFormatTests {
    private static let header = ManifestHeader(
        historyID: UniqueID(high: 0x0102_0304_0506_0708, low: 0x1112_1314_1516_1718),
        memberID: UniqueID(high: 0x2122_2324_2526_2728, low: 0x3132_3334_3536_3738),
        fileNumber: 7,
        snapshotEnd: 0x1218
    )

    @Test func header() throws {
        let encoded = Self.header.encoded()
        let bytes = Array(encoded.bytes)

        #expect(bytes.count == 4096)
        #expect(bytes[0..<8].elementsEqual("SEMANIF\n".utf8))
        #expect(
            bytes[8..<32].hex == "01000000" + "00100000" + "0000000000000000" + "0000000000000000"
        )
        #expect(
            bytes[32..<80].hex
                == "0807060504030201" + "1817161514131211" + "2827262524232221"
                + "3837363534333231" + "0700000000000000" + "1812000000000000"
        )
        #expect(bytes[80..<4088].allSatisfy { $0 == 0 })
        #expect(try Self.decodeHeader(bytes) == Self.header)
    }

    @Test func framesAreBoundToTheFileAndToItsKind() {
        let frames = Self.header.frames
        var identity = ByteBuffer()
        identity.append(Self.header.historyID)
        identity.append(UInt64(7))

        let seed = Checksum.xxh3(identity.bytes, seed: 0x0a46_494e_414d_4553)
        #expect(frames.seed == seed)
        #expect(
            frames.seed != LogFormat.seed(historyID: Self.header.historyID, fileNumber: 7)
        )
        #expect((frames.baseSequence, frames.initialHash, frames.baseStamp) == (0, 0, 0))
    }

    @Test func edit() throws {
        var edit = VersionEdit()
        edit.nextSegmentNumber = 300
        edit.flushed = FlushMark(
            epoch: Epoch(number: 3, starter: 0x55),
            sequence: 129,
            logHash: 0x66
        )
        edit.logStart = LogEnd(fileNumber: 2, length: 4200, lastSequence: 99, logHash: 0x77)
        edit.deltaHorizon = 64
        edit.epochs = [
            EpochEntry(
                epoch: Epoch(number: 4, starter: 0x88),
                lastSequenceBefore: 1,
                logHashBefore: 0x99
            )
        ]
        edit.removed = [SegmentPlace(level: 1, number: 200)]
        edit.add(299, level: 2, "key", "keys") {
            $0.size = 1000
            $0.checksum = 0xaa
            $0.minSequence = 5
            $0.maxSequence = 128
            $0.entryCount = 10
            $0.tombstoneCount = 2
            $0.rangeTombstoneCount = 1
            $0.rawBytes = 2000
            $0.keyCount = 9
        }

        let bytes = edit.bytes

        // tag, size, field.
        #expect(
            bytes.hex
                == "0e" + "02" + "ac02"
                + "06" + "13" + "03" + "5500000000000000" + "8101" + "6600000000000000"
                + "08" + "0c" + "02" + "e820" + "63" + "7700000000000000"
                + "0c" + "01" + "40"
                + "0a" + "12" + "04" + "8800000000000000" + "01" + "9900000000000000"
                + "04" + "03" + "01" + "c801"
                + "02" + "20" + "02" + "ab02" + "e807" + "aa00000000000000"
                + "03" + "6b6579" + "04" + "6b657973" + "05" + "8001"
                + "0a" + "02" + "01" + "d00f" + "00" + "09"
        )
        #expect(try Self.decode(bytes) == edit)
    }

    @Test(arguments: UInt64(0)..<50)
    func everyEditDecodesToItself(seed: UInt64) throws {
        var maker = EditMaker(seed: seed)
        for step in 0..<20 {
            let edit = maker.next()

            #expect(try Self.decode(edit.bytes) == edit, "step \(step)")
        }
    }

    @Test func unknownOddFieldsAreSkippedAndEvenOnesRefused() throws {
        let known = [12, 1, 64] as [UInt8]

        let skipped = try Self.decode([1, 2, 0xff, 0xff] + known + [15, 0])
        #expect(skipped.deltaHorizon == 64)
        #expect(throws: DecodingFailure.unsupported("field 16 of an edit")) {
            try Self.decode(known + [16, 0])
        }
        #expect(throws: DecodingFailure.unsupported("field 0 of an edit")) {
            try Self.decode([0, 0])
        }
    }

    @Test(
        arguments: [
            [12], [12, 2, 1], [12, 1, 64, 12, 1, 64], [12, 2, 1, 1], [12, 0], [14, 1, 1, 14, 1, 1],
            [4, 2, 7, 1], [4, 1, 1], [4, 3, 1, 1, 1], [0x8c, 0x00, 1, 64], [1], [1, 5, 1],
            [12, 10] + [UInt8](repeating: 0xff, count: 10),
            // A key that claims more than there is, and one over the limit.
            [2, 13, 0, 1, 1] + [UInt8](repeating: 0, count: 8) + [9, 1],
            [2, 14, 0, 1, 1] + [UInt8](repeating: 0, count: 8) + [0x81, 0x80, 0x04],
        ] as [[UInt8]]
    )
    func malformedEditsAreRefused(bytes: [UInt8]) {
        #expect {
            try Self.decode(bytes)
        } throws: { error in
            if case .malformed? = error as? DecodingFailure { true } else { false }
        }
    }

    @Test(arguments: [(8, EngineError.Code.unsupportedFormat), (12, .unsupportedFormat)])
    func otherHeadersAreRefused(offset: Int, code: EngineError.Code) throws {
        let encoded = Self.header.encoded()
        var bytes = Array(encoded.bytes)
        bytes[offset] ^= 2

        // Damage, as long as the checksum does not say that it was meant.
        #expect(Self.headerCode(bytes) == .corruption)
        let checksum = bytes[..<4088].withUnsafeBytes { Checksum.xxh3($0) }
        for index in 0..<8 {
            bytes[4088 + index] = UInt8(truncatingIfNeeded: checksum >> (8 * UInt64(index)))
        }
        #expect(Self.headerCode(bytes) == code)
    }

    @Test(arguments: UInt64(0)..<1000)
    func garbageNeverTraps(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var maker = EditMaker(seed: seed)
        var bytes = maker.next().bytes + maker.next().bytes
        if seed % 2 == 0 {
            bytes = (0..<Int.random(in: 0..<300, using: &generator)).map { _ in
                // Small numbers are tags and sizes more often.
                UInt8(truncatingIfNeeded: generator.next() % (seed % 4 == 0 ? 256 : 20))
            }
        }
        for _ in 0..<20 {
            if !bytes.isEmpty {
                let index = Int.random(in: 0..<bytes.count, using: &generator)
                bytes[index] = UInt8(truncatingIfNeeded: generator.next())
                if seed % 8 == 1 { bytes.remove(at: index) }
            }
            do throws(DecodingFailure) {
                let edit = try Self.decode(bytes)
                var state = ManifestState()
                try state.apply(edit)
            } catch {
                #expect(!error.reason.isEmpty)
            }
        }
    }

    private static func decode(_ bytes: [UInt8]) throws(DecodingFailure) -> VersionEdit {
        try bytes.span.withUnsafeBytes { bytes throws(DecodingFailure) in
            try VersionEdit(decoding: bytes)
        }
    }

    private static func decodeHeader(_ bytes: [UInt8]) throws(EngineError) -> ManifestHeader {
        try bytes.span.withUnsafeBytes { bytes throws(EngineError) in
            try ManifestHeader(decoding: bytes, file: "test")
        }
    }

    private static func headerCode(_ bytes: [UInt8]) -> EngineError.Code? {
        do throws(EngineError) {
            _ = try decodeHeader(bytes)
            return nil
        } catch {
            return error.code
        }
    }
}

extension VersionEdit {
    var bytes: [UInt8] {
        var buffer = ByteBuffer()
        encode(into: &buffer)
        return Array(buffer.bytes)
    }
}
