internal import StorageEngine

// A copy of a store on its way to a follower: the files of a checkpoint, or of a store that has the
// changes since a place alone, one behind the other, cut into parts of equal size.
//
//   stream   := contents file*
//   contents := magic      8 bytes, "SECOPY1\n"                         (numbers little-endian)
//               size       u64, of the contents
//               count      u64, of the files
//               entry*     in the order of the files in the stream
//               checksum   u64, XXH3-64 of all before it
//   entry    := size u64, checksum u64: XXH3-64 of the file's bytes, nameSize u64, name
//
//   COPY     := magic      8 bytes, "SEOFFER\n"
//               size       u64
//               id         u64
//               kind       u64
//               partCount  u64
//               tail       {epoch {number u64, starter u64}, sequence u64, logHash u64}
//               count      u64, of the epoch table
//               entry*     {epoch {number u64, starter u64}, lastSequenceBefore u64,
//                          logHashBefore u64}
//               contents
//               checksum   u64, XXH3-64 of all before it
//
// (1) Parts have `partSize` bytes, the last one what is left; so the number of a part says where
//     its bytes belong.
// (2) COPY lies in the directory of a copy that comes, once the contents have: the files behind
//     say by their sizes how much more has. It is removed once MEMBER names the store that the copy
//     is or has become part of: until then a crash leaves the copy.
// (3) A power cut may leave files with their sizes and without their bytes: every file is checked
//     as a whole before the copy becomes the store.
// (4) The bytes may be hostile: only names of a store's files are taken, and every size is checked
//     against what was offered before anything is done with it.
//
// `CopyFormatTests` pins these bytes.

/// Numbers and encodings of copies.
enum CopyFormat {
    static let partSize: UInt64 = 256 << 10
    /// The most bytes of contents: about a million files.
    static let contentsSizeMax: UInt64 = 64 << 20

    private static let contentsMagic: UInt64 = 0x0a31_5950_4f43_4553  // "SECOPY1\n"
    private static let offerMagic: UInt64 = 0x0a52_4546_464f_4553  // "SEOFFER\n"
    /// What all files together have less bytes than.
    private static let sizesMax: UInt64 = 1 << 56
    static let offerFixedSize: UInt64 = 8 * 9

    /// A file of a copy.
    struct Entry: Hashable, Sendable {
        let name: FileName
        let size: UInt64
        let checksum: UInt64
    }

    /// How many parts a stream of a size has.
    static func partCount(of streamSize: UInt64) -> UInt64 {
        (streamSize + partSize - 1) / partSize
    }

    // MARK: Contents

    static func encode(_ entries: [Entry]) -> [UInt8] {
        var buffer = ByteBuffer()
        buffer.append(contentsMagic)
        buffer.append(UInt64(0))
        buffer.append(UInt64(entries.count))
        for entry in entries {
            let name = Array(entry.name.description.utf8)
            buffer.append(entry.size)
            buffer.append(entry.checksum)
            buffer.append(UInt64(name.count))
            for byte in name { buffer.append(byte) }
        }
        buffer.store(UInt64(buffer.count + 8), at: 8)
        return sealed(buffer)
    }

    private static func sealed(_ buffer: consuming ByteBuffer) -> [UInt8] {
        let checksum = unsafe Checksum.xxh3(buffer.bytes)
        buffer.append(checksum)
        return buffer.contents
    }

    /// The size that the first bytes of contents say they have.
    static func contentsSize(_ bytes: [UInt8]) throws(EngineError) -> UInt64 {
        try read(bytes) { reader in
            guard reader.uint64() == contentsMagic, let size = reader.uint64(),
                (32...contentsSizeMax).contains(size)
            else { return nil }
            return size
        }
    }

    static func decode(_ bytes: [UInt8]) throws(EngineError) -> [Entry] {
        try checkSeal(bytes)
        return try read(bytes) { reader in
            guard reader.uint64() == contentsMagic, reader.uint64() == UInt64(bytes.count),
                let count = reader.uint64(), count <= UInt64(reader.remaining / 24)
            else { return nil }
            var entries: [Entry] = []
            var names: Set<FileName> = []
            var sum: UInt64 = 0
            for _ in 0..<count {
                guard let size = reader.uint64(), let checksum = reader.uint64(),
                    let name = fileName(&reader), names.insert(name).inserted, size < sizesMax
                else { return nil }
                sum += size
                guard sum < sizesMax else { return nil }
                entries.append(Entry(name: name, size: size, checksum: checksum))
            }
            return reader.remaining == 8 ? entries : nil
        }
    }

    /// A name that a checkpoint has a file of.
    private static func fileName(_ reader: inout ByteReader) -> FileName? {
        guard let size = reader.uint64(), size <= 64 else { return nil }
        var name: [UInt8] = []
        for _ in 0..<size {
            guard let byte = reader.byte() else { return nil }
            name.append(byte)
        }
        guard let found = FileName(parsing: String(decoding: name, as: UTF8.self)) else {
            return nil
        }
        switch found {
        case .store, .log, .manifest, .segment: return found
        default: return nil
        }
    }

    // MARK: The offer

    static func encode(_ offer: CopyOffer, contents: [UInt8]) -> [UInt8] {
        var buffer = ByteBuffer()
        buffer.append(offerMagic)
        buffer.append(UInt64(0))
        buffer.append(offer.id)
        buffer.append(UInt64(offer.kind.rawValue))
        buffer.append(offer.partCount)
        buffer.append(offer.log.tail.epoch)
        buffer.append(offer.log.tail.sequence)
        buffer.append(offer.log.tail.logHash)
        buffer.append(UInt64(offer.log.table.count))
        for entry in offer.log.table {
            buffer.append(entry.epoch)
            buffer.append(entry.lastSequenceBefore)
            buffer.append(entry.logHashBefore)
        }
        for byte in contents { buffer.append(byte) }
        buffer.store(UInt64(buffer.count + 8), at: 8)
        return sealed(buffer)
    }

    static func decodeOffer(
        _ bytes: [UInt8]
    ) throws(EngineError) -> (offer: CopyOffer, contents: [UInt8]) {
        try checkSeal(bytes)
        return try read(bytes) { reader in
            guard reader.uint64() == offerMagic, reader.uint64() == UInt64(bytes.count),
                let id = reader.uint64(), let rawKind = reader.uint64(),
                let kind = UInt8(exactly: rawKind).flatMap(CopyOffer.Kind.init(rawValue:)),
                let partCount = reader.uint64(), let epoch = reader.epoch(),
                let sequence = reader.uint64(), let logHash = reader.uint64(),
                let count = reader.uint64(), count <= UInt64(reader.remaining / 32)
            else { return nil }
            var table: [EpochEntry] = []
            for _ in 0..<count {
                guard let epoch = reader.epoch(), let sequence = reader.uint64(),
                    let logHash = reader.uint64()
                else { return nil }
                table.append(
                    EpochEntry(epoch: epoch, lastSequenceBefore: sequence, logHashBefore: logHash)
                )
            }
            let tail = Tail(epoch: epoch, sequence: sequence, logHash: logHash)
            let log = LogOutline(table: table, tail: tail)
            guard log.isWellFormed, reader.remaining >= 8 else { return nil }
            let contents = Array(bytes[reader.offset..<bytes.count - 8])
            return (CopyOffer(id: id, kind: kind, log: log, partCount: partCount), contents)
        }
    }

    // MARK: Reading

    private static func checkSeal(_ bytes: [UInt8]) throws(EngineError) {
        guard bytes.count >= 32 else { throw corrupt("\(bytes.count) bytes") }
        let isRight = unsafe bytes.span.withUnsafeBytes { bytes in
            let end = bytes.count - 8
            var reader = unsafe ByteReader(UnsafeRawBufferPointer(rebasing: bytes[end...]))
            let body = unsafe UnsafeRawBufferPointer(rebasing: bytes[..<end])
            return unsafe Checksum.xxh3(body) == reader.uint64()
        }
        guard isRight else { throw corrupt("wrong checksum") }
    }

    private static func read<Value>(
        _ bytes: [UInt8],
        _ body: (inout ByteReader) -> Value?
    ) throws(EngineError) -> Value {
        let found = unsafe bytes.span.withUnsafeBytes { bytes in
            var reader = unsafe ByteReader(bytes)
            return body(&reader)
        }
        guard let found else { throw corrupt("impossible values") }
        return found
    }

    static func corrupt(_ what: String) -> EngineError {
        .corruption("reading a copy: \(what)", file: FileName.copy.description, offset: 0)
    }
}

extension ByteBuffer {
    fileprivate mutating func append(_ epoch: Epoch) {
        append(epoch.number)
        append(epoch.starter)
    }
}
