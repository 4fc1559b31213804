// A segment: an immutable file of sorted versions, `0000000001.segment`.
//
//   segment   := partition* rangesBlock? directoryBlock propertiesBlock footer
//   partition := dataBlock+ filterBlock? indexBlock           (all numbers little-endian)
//   block    := 0   checksum     u64, XXH3-64 of the bytes behind it,
//                                seed = seed(historyID, fileNumber) + offset of the block
//               8   rawSize      u32, of the payload, <= 128 MiB + 1 MiB
//               12  kind         u8: 1 data, 2 filter, 3 ranges, 4 index, 5 properties,
//                                6 directory
//               13  compression  u8: 0 none, 1 LZ4 (one block, no dictionary)
//               14  zero         u16
//               16  payload
//
//   data       := entry* restart:u32* restartCount:u32
//   entry      := shared:varint suffixSize:varint valueSize:varint flags:u8 sequence:varint
//                 suffix value
//   filter     := line* lineCount:u32 probeCount:u32         line: 64 bytes
//   ranges     := { lowerSize:varint lower upperSize+1:varint upper
//                   count:varint sequence:varint* }*         upperSize+1 = 0: no end
//   index      := { shared:varint suffixSize:varint blockSize:varint suffix }*
//   directory  := { shared:varint suffixSize:varint dataSize:varint filterSize:varint
//                   indexSize:varint suffix }*
//   properties := (tag:varint size:varint byte*)*
//
//   footer     := section* tail
//   section    := kind:u32 flags:u32 offset:u64 size:u64     flags 1: required
//   tail       := 0   sectionCount    u32, <= 64
//                 4   formatVersion   u32, 2
//                 8   historyID       16 bytes
//                 24  fileNumber      u64
//                 32  fileSize        u64
//                 40  contentChecksum u64, XXH3-64 of all bytes before the footer
//                 48  footerChecksum  u64, XXH3-64 of the sections and bytes 0..<48 of the tail
//                 56  magic           8 bytes, "SESEGMT\n"
//
// (1) Entries are ordered by key, as unsigned bytes, then by sequence, the newest first. (key,
//     sequence) occurs once.
// (2) shared counts the leading bytes that a key has in common with the key before it. A restart
//     names the offset of an entry that shares nothing; the first entry of a block is one, and no
//     more than 256 entries lie from one to the next.
// (3) flags: 0 a value, 1 a tombstone (without value); other bits are refused.
// (4) A partition is a stretch of data blocks, with what is needed to find a key in them: a few
//     thousand keys, so that a lookup reads and keeps little for the blocks that it needs, whatever
//     the size of the file. Its index has an entry a data block, in order: a key at or behind the
//     block's last one and before the next block's first one, or equal to it where a key's versions
//     go on there. The directory has the same of each partition. Partitions lie one behind the
//     other from offset 0, as data blocks do in them, so that sizes, which are those of blocks with
//     their headers, say where everything is; 0: there is no filter. No key is longer than its
//     blocks can be uncompressed: 255 times their size.
// (5) A partition's filter has the XXH3-64 of every key there; `SegmentFilter` says how.
//     Range tombstones are cut into fragments that do not overlap, in order, each with its
//     sequences, the newest first.
// (6) A section is a block by its place. A reader refuses a required section it does not know, and
//     skips another. Properties with even tags are required, as those of records in the log.
// (7) The footer and the manifest repeat identity, size and checksum: a file in another's place, or
//     cut short, is noticed when it is opened. Every block is verified before it is decoded.
//
// `SegmentGoldenTests` pins these bytes; changing them takes a new format version.

/// Numbers of the segment format.
package enum SegmentFormat {
    static let version: UInt32 = 2
    static let magic: UInt64 = 0x0a54_4d47_4553_4553  // "SESEGMT\n"
    static let blockHeaderSize = 16
    static let sectionSize = 24
    static let sectionCountMax = 64
    static let tailSize = 64
    /// The most bytes of a payload: one entry of the largest value, or a large segment's index.
    static let rawSizeMax = (128 << 20) + (1 << 20)
    /// The most bytes of a block with its header.
    static let storedSizeMax = 2 * UInt64(rawSizeMax)
    /// A block ends with the entry that brings it here.
    static let blockSize = 4096
    /// Entries between two restarts.
    static let restartInterval = 16
    /// The most that a reader accepts: moving back copies the keys of an interval, and each may
    /// share 64 KiB with the one before it.
    static let restartIntervalMax = 256

    /// The keys that end a partition, at the end of a data block: their filter takes 15 KiB.
    static let partitionKeyCount = 12_288
    /// The bytes of an index that end a partition.
    static let partitionIndexSize = 16 << 10

    /// The keys that end a partition of segments of a size; small segments have small ones, so that
    /// what is true of large ones is true of them.
    static func partitionKeyCount(segmentSize: UInt64) -> Int {
        Int(min(UInt64(partitionKeyCount), max(8, segmentSize / 1024)))
    }

    /// What binds the blocks of a file to it.
    static func seed(historyID: UniqueID, fileNumber: UInt64) -> UInt64 {
        var buffer = ByteBuffer(capacity: 32)
        buffer.append(magic)
        buffer.append(historyID)
        buffer.append(fileNumber)
        return Checksum.xxh3(buffer.bytes)
    }
}

/// What a block holds.
enum BlockKind: UInt8, Sendable {
    case data = 1
    case filter = 2
    case ranges = 3
    case index = 4
    case properties = 5
    case directory = 6
}

/// Where a block lies in its file, header included.
struct BlockHandle: Hashable, Sendable {
    let offset: UInt64
    let size: Int
}

/// What a version does to its key; the flags of an entry.
package enum VersionFlags {
    package static let tombstone: UInt8 = 1
}
