import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// The bytes of the segment format. A change here is a new format version.
@Suite struct SegmentGoldenTests {
    @Test func aSmallSegment() throws {
        let model = try SegmentModel()
        let segment = try model.write([
            ModelEntry(key: Array("key".utf8), sequence: 300, value: Array("value".utf8)),
            ModelEntry(key: Array("key".utf8), sequence: 7, flags: VersionFlags.tombstone),
            ModelEntry(key: Array("keys".utf8), sequence: 9, value: []),
        ])
        let bytes = try segment.file.read(count: Int(segment.info.size), at: 0)

        // shared, suffix size, value size, flags, sequence, suffix, value.
        let entries =
            "00030500ac02" + "6b6579" + "76616c7565" + "0300000107" + "0301000009" + "73"
        let data = entries + "00000000" + "01000000"
        #expect(bytes[8..<16].hex == "21000000" + "01" + "00" + "0000")
        #expect(bytes[16..<49].hex == data)
        // One line of 64 bytes, one line, six probes.
        #expect(bytes[57..<65].hex == "48000000" + "02" + "00" + "0000")
        #expect(bytes[129..<137].hex == "01000000" + "06000000")
        // shared, suffix size, block size, suffix.
        #expect(bytes[145..<160].hex == "07000000" + "04" + "00" + "0000" + "0004316b657973")
        #expect(bytes.hex.hasSuffix("53455345474d540a"))
        // shared, suffix size, sizes of data, filter and index, suffix.
        #expect(
            bytes[168..<185].hex == "09000000" + "06" + "00" + "0000" + "0004" + "315817"
                + "6b657973"
        )
        #expect(segment.info.checksum == Checksum.xxh3(of: bytes.dropLast(2 * 24 + 64)))
    }
}

extension Checksum {
    fileprivate static func xxh3(of bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.withUnsafeBytes { xxh3($0) }
    }
}
