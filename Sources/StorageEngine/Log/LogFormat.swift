// The write-ahead log: files named by consecutive numbers, each a header and frames.
//
//   log file := header frame* zero*                     (all numbers little-endian)
//
//   header   := 0    magic              8 bytes, "SEWALOG\n"
//               8    formatVersion      u32, 2
//               12   headerSize         u32, 4096
//               16   requiredFeatures   u64, an unknown bit refuses the file, untouched
//               24   ignorableFeatures  u64, unknown bits mean nothing
//               32   historyID          16 bytes, the same on every replica
//               48   memberID           16 bytes, the directory that wrote the file
//               64   fileNumber         u64, from 1
//               72   epoch              {number u64, starter u64}
//               88   firstSequence      u64, no record here is below it
//               96   baseStamp          u64, the last stamp before this file
//               104  predecessor        {fileNumber u64, length u64, lastSequence u64, logHash u64}
//                                       fileNumber 0: the history starts here
//               136  flags              u32, 1: the file is the first of its epoch
//               140  epochCount         u32, <= 120
//               144  epochs             {number, starter, lastSequenceBefore, logHashBefore: u64}*,
//                                       the newest entries of the epoch table, the newest last
//               4088 checksum           u64, XXH3-64 of bytes 0..<4088; what is between is zero
//
//   Magic number, format version, header size and checksum have these places in every version.
//
//   frame    := 0    check              u32, XXH3-64 of the header behind it, truncated;
//                                       seed = seed(historyID, fileNumber) + offset of the frame
//               4    headerSize         u8, 20...71, check included
//               5    flags              u8: 1 stored raw, 2 restart, 4 sync marker, 8 seal,
//                                       16 large
//               6    payloadHash        u64, XXH3-64 of the stored payload
//               14   storedSize         varint, of the payload in the file
//                    rawSize            varint, of the records in the frame
//                    previousDelta      varint, last sequence before the frame -
//                                       predecessor.lastSequence
//                    firstDelta         varint, first sequence - last sequence before;
//                                       0: no records
//                    lastDelta          varint, last sequence - first sequence
//                    unsynced           varint, (offset of the frame - syncedThrough) / 8
//                    logHash            u64, before the frame; only with flags restart or seal
//                    payload            storedSize bytes
//                    padding            zero, to the next multiple of 8
//
// (1) A frame starts at a multiple of 8. Its check binds it to history, file and offset, so that
//     nothing else is ever taken for a frame, and lets a scan find frames without reading payloads.
// (2) The payload's hash is verified before the payload is decoded, every length before it is used.
// (3) The payload of a frame is its records, LZ4-compressed with up to 64 KiB before it as
//     dictionary (the raw payloads since the last restart, one behind the other). A restart frame
//     has no dictionary; at most 256 KiB of raw payload lie between two restarts, and little more
//     than that in the file. A payload that does not shrink is stored raw, and still belongs to the
//     dictionary of those behind it.
// (4) A large frame has one record, with operations over 64 KiB: its head raw, then the operations
//     as an independent LZ4 block, or raw. It is a restart frame, and so is the one behind it.
// (5) Frames are consecutive: the last sequence before a frame is the last of the frame before.
// (6) syncedThrough is a length of this file that an fdatasync had covered when the frame was
//     built. A sync marker is a frame without records that carries it when nothing else is written.
// (7) A file is synced as a whole before the first frame goes into its successor, whose header
//     repeats its length, last sequence and hash. A seal ends a finished file; the file is cut
//     behind it. One sync covers the seal and the last frames before it, so that a seal alone
//     proves nothing: the successor's header or the store's floor does. Its payload, stored raw,
//     is the index of the file's restart frames (`RestartIndex.swift`).
// (8) The header is synced before the first frame. A zero header marks a file that was made ahead.
//
// `FormatGoldenTests` pins these bytes; changing them takes a new format version.

/// Numbers of the log format.
package enum LogFormat {
    package static let version: UInt32 = 2
    package static let headerSize = 4096
    package static let alignment = 8
    /// Frames of one stream share a window of this size; a restart begins a new one.
    package static let windowSize = 256 << 10
    /// Behind this many bytes of the file a frame restarts, even when its window has room: headers
    /// of very small frames outweigh their payloads.
    package static let restartDistance: UInt64 = 256 << 10
    /// Operations above this size make a frame of their own.
    package static let largeSize = 64 << 10
    /// Required features that this version knows.
    package static let knownFeatures: UInt64 = 0

    static let magic: UInt64 = 0x0a47_4f4c_4157_4553  // "SEWALOG\n"
    /// How a header begins and ends.
    static let preamble = FilePreamble(
        magic: magic,
        version: version,
        headerSize: headerSize,
        knownFeatures: knownFeatures,
        kind: "log file"
    )
    static let epochCountMax = 120
    static let startsEpoch: UInt32 = 1

    /// The next multiple of 8.
    package static func aligned(_ size: Int) -> Int { (size + alignment - 1) & ~(alignment - 1) }

    /// What binds the frames of a file to it.
    package static func seed(historyID: UniqueID, fileNumber: UInt64) -> UInt64 {
        var bytes = ByteBuffer(capacity: 24)
        bytes.append(historyID)
        bytes.append(fileNumber)
        return Checksum.xxh3(bytes.bytes)
    }
}

/// How much of a log file there is.
struct LogLength: Sendable, Hashable {
    let fileNumber, length: UInt64
}

/// Where a log file ends: what its successor's header repeats.
package struct LogEnd: Hashable, Sendable {
    /// 0 where the history starts.
    package var fileNumber: UInt64
    /// Logical length in bytes, seal included.
    package var length: UInt64
    package var lastSequence: UInt64
    package var logHash: UInt64

    package init(fileNumber: UInt64, length: UInt64, lastSequence: UInt64, logHash: UInt64) {
        self.fileNumber = fileNumber
        self.length = length
        self.lastSequence = lastSequence
        self.logHash = logHash
    }

    /// The end of nothing: where a new history starts.
    package static let start = LogEnd(fileNumber: 0, length: 0, lastSequence: 0, logHash: 0)

    func encode(into buffer: inout ByteBuffer) {
        buffer.append(fileNumber)
        buffer.append(length)
        buffer.append(lastSequence)
        buffer.append(logHash)
    }

    init?(_ reader: inout ByteReader) {
        guard let number = reader.uint64(), let length = reader.uint64(),
            let sequence = reader.uint64(), let hash = reader.uint64()
        else { return nil }
        self.init(fileNumber: number, length: length, lastSequence: sequence, logHash: hash)
    }
}
