// The file STORE: what makes a directory a store. It is replaced as a whole, durably.
//
//   STORE := 0   magic              8 bytes, "SESTORE\n"                 (numbers little-endian)
//            8   formatVersion      u32, 2
//            12  size               u32, 120
//            16  requiredFeatures   u64, an unknown bit refuses the store, untouched
//            24  ignorableFeatures  u64
//            32  historyID          16 bytes
//            48  memberID           16 bytes
//            64  floor              {fileNumber u64, length u64, lastSequence u64, logHash u64}
//            96  manifest           u64, the number of the manifest file; 0: there is none yet
//            104 lastStamp          u64, no stamp in the log up to the floor is above it
//            112 checksum           u64, XXH3-64 of bytes 0..<112
//
// floor: the log up to there was synced when STORE was written, by a clean close or by a recovery.
// The file that it names is finished: whatever lies behind the length is not part of the log, and
// anything missing before it is corruption, not a torn tail. fileNumber 0: nothing was proven yet.
//
// manifest: the one manifest file that counts; others are leftovers. It was synced, with its name,
// before STORE named it.
//
// `FormatGoldenTests` pins these bytes.

package struct StoreMark: Hashable, Sendable {
    package let historyID: UniqueID
    package let memberID: UniqueID
    package var floor: LogEnd
    package var manifest: UInt64
    package var lastStamp: UInt64

    package static let encodedSize = 120
    private static let magic: UInt64 = 0x0a45_524f_5453_4553  // "SESTORE\n"
    private static let version: UInt32 = 2

    package init(
        historyID: UniqueID,
        memberID: UniqueID,
        floor: LogEnd = .start,
        manifest: UInt64 = 0,
        lastStamp: UInt64 = 0
    ) {
        self.historyID = historyID
        self.memberID = memberID
        self.floor = floor
        self.manifest = manifest
        self.lastStamp = lastStamp
    }

    package func encoded() -> ByteBuffer {
        var buffer = ByteBuffer(capacity: Self.encodedSize)
        buffer.append(Self.magic)
        buffer.append(Self.version)
        buffer.append(UInt32(Self.encodedSize))
        buffer.append(UInt64(0))
        buffer.append(UInt64(0))
        buffer.append(historyID)
        buffer.append(memberID)
        floor.encode(into: &buffer)
        buffer.append(manifest)
        buffer.append(lastStamp)
        buffer.append(Checksum.xxh3(buffer.bytes))
        return buffer
    }

    /// Decodes the file. The bytes come from disk, so every check throws.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(EngineError) {
        let file = FileName.store.description
        var reader = ByteReader(bytes)
        guard reader.uint64() == Self.magic else {
            throw .corruption("reading the store's mark: no magic number", file: file, offset: 0)
        }
        guard let version = reader.uint32(), version == Self.version else {
            throw EngineError(
                .unsupportedFormat,
                "reading the store's mark: another format version than \(Self.version)",
                file: file,
                offset: 8
            )
        }
        guard reader.uint32() == UInt32(Self.encodedSize), bytes.count == Self.encodedSize else {
            throw .corruption(
                "reading the store's mark: \(bytes.count) bytes, expected \(Self.encodedSize)",
                file: file,
                offset: 12
            )
        }
        guard reader.uint64() == 0 else {
            throw EngineError(
                .unsupportedFormat,
                "reading the store's mark: unknown features",
                file: file,
                offset: 16
            )
        }
        _ = reader.uint64()
        guard let history = reader.uniqueID(), let member = reader.uniqueID(),
            let floor = LogEnd(&reader), let manifest = reader.uint64(),
            let lastStamp = reader.uint64(),
            Checksum.xxh3(UnsafeRawBufferPointer(rebasing: bytes[..<reader.offset]))
                == reader.uint64()
        else {
            throw .corruption("reading the store's mark: wrong checksum", file: file, offset: 112)
        }
        self.init(
            historyID: history,
            memberID: member,
            floor: floor,
            manifest: manifest,
            lastStamp: lastStamp
        )
    }
}
