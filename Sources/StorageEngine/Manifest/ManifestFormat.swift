// The manifest: which segments make up the store, and what they hold. The file that STORE names
// counts; other files of the kind are leftovers.
//
//   manifest := header frame*                           (all numbers little-endian)
//
//   header   := 0    magic              8 bytes, "SEMANIF\n"
//               8    formatVersion      u32, 1
//               12   headerSize         u32, 4096
//               16   requiredFeatures   u64, an unknown bit refuses the file, untouched
//               24   ignorableFeatures  u64, unknown bits mean nothing
//               32   historyID          16 bytes
//               48   memberID           16 bytes, the directory that wrote the file
//               64   fileNumber         u64, from 1
//               72   snapshotEnd        u64, the length of header and snapshot
//               4088 checksum           u64, XXH3-64 of bytes 0..<4088; what is between is zero
//
//   frame    as in `LogFormat.swift`, with
//            seed               XXH3-64 of {historyID, fileNumber}, seeded with the magic number
//            predecessor        last sequence 0, log hash 0; base stamp 0
//
// A frame has one record of kind data. Its sequence is its number in the file: 1, 2, and so on; its
// stamp is 0; its operations are one version edit:
//
//   edit     := (tag:varint size:varint field)*
//   field    := 2    added              level, segment
//               4    removed            level, number
//               6    flushed            epoch number, epoch starter:u64, sequence, logHash:u64
//               8    logStart           fileNumber, length, lastSequence, logHash:u64
//               10   epoch              number, starter:u64, lastSequenceBefore, logHashBefore:u64
//               12   deltaHorizon       a sequence
//               14   nextSegmentNumber  a number
//   segment  := number size checksum:u64 smallest:key largest:key minSequence maxSequence
//               entryCount tombstoneCount rangeTombstoneCount rawBytes
//               excludesLargest (1: the greatest key is the end of a range tombstone) keyCount
//   key      := size bytes
//
// What is not marked u64 is a varint. Tags 2, 4 and 10 may be there many times, in any order; the
// others once. Unknown odd tags are skipped, unknown even ones are refused.
//
// (1) The first edits are a snapshot: applied to an empty state they give all of it. Mostly that is
//     one edit; a snapshot over 16 MiB is cut into several. The file is synced up to snapshotEnd,
//     and so is its name, before STORE names it: anything missing there is corruption.
// (2) The edits behind the snapshot are appended one at a time. Each is synced before its commit
//     returns, and before the next is appended, whose syncedThrough says so. Hence a frame is
//     proven by any frame behind it, and only the last one can be a torn tail. Nobody depends on a
//     torn edit: segment files and log files are removed only once the edit is synced that makes
//     them useless.
// (3) Behind a failed append or sync nothing is ever appended, and no file is removed: the next
//     edit goes into a new manifest. The same holds when STORE could not be replaced, as either
//     manifest may be named by it then.
// (4) A clean close appends a seal. There is nothing behind a seal. A damaged seal is a torn tail.
// (5) A frame whose hash is right and whose edit does not decode or does not fit the state before
//     it is corruption.
// (6) What an edit must fulfil is checked by `ManifestState.apply`, for what is read and for what
//     is written. It bounds all numbers, so that users may add one, or up sizes, and not overflow.
// (7) A file that lost whole frames at its end, and nothing else, is not noticed here: it is an
//     older state of the store, whose segment or log files are missing then.
//
// `ManifestFormatTests` pins these bytes; changing them takes a new format version.

/// Numbers of the manifest's format.
package enum ManifestFormat {
    package static let version: UInt32 = 1
    package static let headerSize = LogFormat.headerSize
    /// Levels of segments: 0 ... 6. Segments of level 0 may overlap, those of others do not.
    package static let levelCount = 7
    package static let segmentCountMax = 1_000_000
    /// No sequence, epoch number, file number or length is above this.
    package static let numberMax: UInt64 = 1 << 62
    /// No segment has more bytes or entries; the sum over all segments fits an `Int`.
    package static let segmentSizeMax: UInt64 = 1 << 43

    static let magic: UInt64 = 0x0a46_494e_414d_4553  // "SEMANIF\n"
    static let knownFeatures: UInt64 = 0
    /// How a header begins and ends.
    static let preamble = FilePreamble(
        magic: magic,
        version: version,
        headerSize: headerSize,
        knownFeatures: knownFeatures,
        kind: "manifest"
    )
    /// A snapshot over this size is cut; a larger edit is not appended, but makes a new file.
    static let editSizeMax = 16 << 20
    /// A manifest up to this size is not replaced because of its size.
    static let fileSizeMin: UInt64 = 1 << 20
    /// A larger manifest is replaced when it has this many times the size of its snapshot.
    static let growthMax: UInt64 = 4
}

/// The header of a manifest; the bytes are specified in `ManifestFormat.swift`.
package struct ManifestHeader: Hashable, Sendable {
    package let historyID: UniqueID
    package let memberID: UniqueID
    package let fileNumber: UInt64
    /// The file was synced up to here before STORE named it.
    package let snapshotEnd: UInt64

    package init(
        historyID: UniqueID,
        memberID: UniqueID,
        fileNumber: UInt64,
        snapshotEnd: UInt64
    ) {
        self.historyID = historyID
        self.memberID = memberID
        self.fileNumber = fileNumber
        self.snapshotEnd = snapshotEnd
    }

    /// What the frames of the file depend on.
    package var frames: FrameStream { Self.frames(historyID: historyID, fileNumber: fileNumber) }

    static func frames(historyID: UniqueID, fileNumber: UInt64) -> FrameStream {
        var bytes = ByteBuffer(capacity: 24)
        bytes.append(historyID)
        bytes.append(fileNumber)
        return FrameStream(
            seed: Checksum.xxh3(bytes.bytes, seed: ManifestFormat.magic),
            baseSequence: 0,
            initialHash: 0,
            baseStamp: 0
        )
    }

    package func encoded() -> ByteBuffer {
        var buffer = ManifestFormat.preamble.begin()
        buffer.append(historyID)
        buffer.append(memberID)
        buffer.append(fileNumber)
        buffer.append(snapshotEnd)
        ManifestFormat.preamble.finish(&buffer)
        return buffer
    }

    /// Decodes a header. The bytes come from disk, so every check throws.
    package init(decoding bytes: UnsafeRawBufferPointer, file: String) throws(EngineError) {
        var reader = try ManifestFormat.preamble.check(bytes, file: file)
        guard let history = reader.uniqueID(), let member = reader.uniqueID(),
            let number = reader.uint64(), let snapshotEnd = reader.uint64(), number > 0,
            snapshotEnd > UInt64(ManifestFormat.headerSize),
            snapshotEnd <= ManifestFormat.numberMax,
            snapshotEnd % UInt64(LogFormat.alignment) == 0
        else { throw ManifestFormat.preamble.corrupt("impossible contents", file, at: 64) }
        self.init(
            historyID: history,
            memberID: member,
            fileNumber: number,
            snapshotEnd: snapshotEnd
        )
    }
}
