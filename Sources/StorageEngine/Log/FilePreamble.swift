/// What the headers of log files, manifests, lists of backups and packs have in common: magic
/// number, format version, size and features at the beginning, a checksum at the end. They have
/// these places in every version.
package struct FilePreamble: Sendable {
    let magic: UInt64
    let version: UInt32
    let headerSize: Int
    let knownFeatures: UInt64
    /// What the file is, in errors: `log file`.
    let kind: String

    package init(
        magic: UInt64,
        version: UInt32,
        headerSize: Int,
        knownFeatures: UInt64,
        kind: String
    ) {
        self.magic = magic
        self.version = version
        self.headerSize = headerSize
        self.knownFeatures = knownFeatures
        self.kind = kind
    }

    private var checksumOffset: Int { headerSize - 8 }

    /// Begins a header.
    package func begin() -> ByteBuffer {
        var buffer = ByteBuffer(capacity: headerSize)
        buffer.append(magic)
        buffer.append(version)
        buffer.append(UInt32(headerSize))
        buffer.append(knownFeatures)
        buffer.append(UInt64(0))
        return buffer
    }

    /// Ends a header: zeros, and the checksum.
    package func finish(_ buffer: inout ByteBuffer) {
        buffer.append(zeros: checksumOffset - buffer.count)
        buffer.append(Checksum.xxh3(buffer.bytes))
    }

    /// Checks a header that comes from disk, and returns a reader behind the features.
    ///
    /// The checksum comes first: a header that a power cut has torn must not look like one of
    /// another version. Then other versions and unknown features are refused, before any other
    /// field is believed.
    ///
    /// - Throws: ``EngineError`` with code `corruption` or `unsupportedFormat`. `file` is what it
    ///   names; `nil` for what is in no file.
    package func check(
        _ bytes: UnsafeRawBufferPointer,
        file: String?
    ) throws(EngineError) -> ByteReader {
        guard bytes.count == headerSize else {
            throw corrupt("\(bytes.count) bytes, expected \(headerSize)", file, at: 0)
        }
        var reader = ByteReader(bytes)
        guard reader.uint64() == magic else { throw corrupt("no magic number", file, at: 0) }
        var end = ByteReader(bytes[in: checksumOffset, 8])
        guard Checksum.xxh3(bytes[in: 0, checksumOffset]) == end.uint64() else {
            throw corrupt("wrong checksum", file, at: UInt64(checksumOffset))
        }
        let found = reader.uint32() ?? 0
        guard found == version else {
            throw unsupported("format version \(found), this program knows \(version)", file, at: 8)
        }
        let size = reader.uint32()
        let required = reader.uint64() ?? 0
        guard size == UInt32(headerSize), required & ~knownFeatures == 0 else {
            throw unsupported(
                "features \(hexadecimal(required)) are unknown to this program",
                file,
                at: 16
            )
        }
        _ = reader.uint64()
        return reader
    }

    package func corrupt(_ what: String, _ file: String?, at offset: UInt64) -> EngineError {
        let message = "reading a \(kind)'s header: \(what)"
        return EngineError(.corruption, message, file: file, offset: offset)
    }

    private func unsupported(_ what: String, _ file: String?, at offset: UInt64) -> EngineError {
        let message = "reading a \(kind): \(what)"
        return EngineError(.unsupportedFormat, message, file: file, offset: offset)
    }
}
