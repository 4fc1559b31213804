import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// The bytes of packs. A change here is a new format version.
@Suite struct PackFormatTests {
    private static func record(
        _ value: String,
        sequence: UInt64,
        after previous: UInt64
    ) throws -> TestRecord {
        var batch = WriteBatch()
        try batch.put(value, for: "k")
        let head = RecordHead(
            sequence: sequence,
            previousSequence: previous,
            stamp: 0x0001_0000 + sequence
        )
        return TestRecord(head: head, operations: batch.withOperations { Array($0) })
    }

    @Test func aPackThatDoesNotShrink() throws {
        let model = PackModel([
            try Self.record("a", sequence: 6, after: 5),
            try Self.record("b", sequence: 9, after: 6),
        ])

        let packs = model.packs()

        let payload =
            "01" + "01" + "8c8008" + "06" + "010001" + "6b" + "0161"
            + "01" + "03" + "06" + "06" + "010001" + "6b" + "0162"
        let pack = try #require(packs.first)
        #expect(packs.count == 1 && pack.count == 160 + 22)
        #expect(pack[0..<8].elementsEqual("SEPACK1\n".utf8))
        #expect(
            pack[8..<32].hex == "01000000" + "a0000000" + "0000000000000000" + "0000000000000000"
        )
        #expect(
            pack[32..<64].hex
                == "0807060504030201" + "1817161514131211" + "0300000000000000"
                + "1100ffeeddccbbaa"
        )
        #expect(pack[64..<88].hex == "0500000000000000" + "0600000000000000" + "0900000000000000")
        #expect(pack[88..<104].hex == "5a5a000000000000" + Self.littleEndian(model.hashAfter))
        // Stored raw, starts the epoch; two records.
        #expect(pack[104..<112].hex == "03000000" + "02000000")
        #expect(pack[112..<128].hex == "1600000000000000" + "1600000000000000")
        let hash = Array(pack[160...]).withUnsafeBytes { Checksum.xxh3($0) }
        #expect(pack[128..<136].hex == Self.littleEndian(hash))
        #expect(pack[136..<152].allSatisfy { $0 == 0 })
        let checksum = Array(pack[..<152]).withUnsafeBytes { Checksum.xxh3($0) }
        #expect(pack[152..<160].hex == Self.littleEndian(checksum))
        #expect(pack[160...].hex == payload)
    }

    @Test func aPackThatShrinks() throws {
        let value = String(repeating: "z", count: 1000)
        let model = PackModel([try Self.record(value, sequence: 6, after: 5)])

        let pack = try #require(model.packs().first)

        // Head, sequence delta, stamp delta, size; kind, keyspace, key size, key, value size.
        let raw: [UInt8] =
            [1, 1, 0x8c, 0x80, 8, 0xee, 7, 1, 0, 1, 0x6b, 0xe8, 7] + Array(value.utf8)
        #expect(pack[104..<112].hex == "02000000" + "01000000")
        #expect(pack[112..<120].hex == Self.littleEndian(UInt64(raw.count)))
        #expect(pack[120..<128].hex == Self.littleEndian(UInt64(pack.count - 160)))
        var decoded = [UInt8](repeating: 0, count: raw.count)
        let isDecoded = Array(pack[160...]).withUnsafeBytes { stored in
            decoded.withUnsafeMutableBytes { target in
                guard let start = target.baseAddress else { return false }
                return LZ4.decompress(stored, to: start, size: raw.count, dictionarySize: 0)
            }
        }
        #expect(isDecoded && decoded == raw)
    }

    @Test func partsSayWhereTheyLie() throws {
        var generator = SeededGenerator(seed: 7)
        let value = (0..<2000).map { _ in UInt8.random(in: 0...255, using: &generator) }
        var batch = WriteBatch()
        try batch.put(value, for: "k")
        let head = RecordHead(sequence: 6, previousSequence: 5, stamp: 1)
        let operations = batch.withOperations { Array($0) }
        let model = PackModel([TestRecord(head: head, operations: operations)])

        let packs = model.packs(sizeMax: 1024)

        // Head, sequence delta, stamp delta, size of the operations in two bytes.
        let size = UInt64(5 + operations.count)
        #expect(packs.map(\.count) == [1024, 1024, 160 + Int(size) - 2 * 864])
        for (index, pack) in packs.enumerated() {
            #expect(
                pack[64..<88].hex == "0500000000000000" + "0600000000000000" + "0600000000000000"
            )
            #expect(pack[96..<104].hex == Self.littleEndian(model.hashAfter))
            #expect(pack[104..<112].hex == "07000000" + "01000000")
            #expect(
                pack[136..<152].hex
                    == Self.littleEndian(UInt64(index * 864)) + Self.littleEndian(size)
            )
        }
    }

    private static func littleEndian(_ value: UInt64) -> String { hexadecimal(value.byteSwapped) }
}
