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
// Magic number, version, size and features, and the checksum at the end, have these places in every
// version. The checksum comes first: a damaged file must not look like one of another version.
//
// `FormatGoldenTests` pins these bytes.

package struct StoreMark: Hashable, Sendable {
    package let historyID: UniqueID
    package let memberID: UniqueID
    package var floor: LogEnd
    package var manifest: UInt64
    package var lastStamp: UInt64

    package static let encodedSize = 120
    /// How much of the file is read; no version has more.
    package static let sizeMax = 4096
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

    /// Reads the mark of a store's directory.
    ///
    /// - Throws: ``EngineError`` with code `corruption`, `unsupportedFormat` or `io`.
    package init(in directory: StoreDirectory) throws(EngineError) {
        let file = try directory.open(.store, for: .read)
        let bytes = try file.read(count: Self.sizeMax + 1, at: 0)
        self = try bytes.span.withUnsafeBytes { bytes throws(EngineError) in
            try StoreMark(decoding: bytes)
        }
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
        let version = reader.uint32() ?? 0
        guard let size = reader.uint32(), bytes.count == Int(size), size >= 32 else {
            throw .corruption(
                "reading the store's mark: \(bytes.count) bytes, which is not its size",
                file: file,
                offset: 12
            )
        }
        let end = bytes.count - 8
        var checksum = ByteReader(bytes[in: end, 8])
        guard Checksum.xxh3(bytes[in: 0, end]) == checksum.uint64() else {
            throw .corruption(
                "reading the store's mark: wrong checksum",
                file: file,
                offset: UInt64(end)
            )
        }
        func unsupported(_ what: String, at offset: UInt64) -> EngineError {
            let message = "reading the store's mark: \(what)"
            return EngineError(.unsupportedFormat, message, file: file, offset: offset)
        }
        guard version == Self.version else {
            throw unsupported(
                "format version \(version), this program knows \(Self.version)",
                at: 8
            )
        }
        guard reader.uint64() == 0 else { throw unsupported("unknown features", at: 16) }
        _ = reader.uint64()
        guard let history = reader.uniqueID(), let member = reader.uniqueID(),
            let floor = LogEnd(&reader), let manifest = reader.uint64(),
            let lastStamp = reader.uint64(), reader.offset == end
        else { throw .corruption("reading the store's mark: its size", file: file, offset: 12) }
        self.init(
            historyID: history,
            memberID: member,
            floor: floor,
            manifest: manifest,
            lastStamp: lastStamp
        )
    }
}
