import StorageEngine

/// The header of a frame.
package struct WireFrame: Hashable, Sendable {
    package let type: FrameType
    package let version: UInt8
    /// Of the body, in bytes.
    package let size: Int
    private let checksum: UInt64
    private let seed: UInt64

    /// Reads a header, of which only type, version and size are believed before the checksum.
    ///
    /// - Returns: `nil` when there are too few bytes.
    init?(decoding bytes: UnsafeRawBufferPointer) throws(WireFailure) {
        var reader = unsafe ByteReader(bytes)
        guard let start = reader.uint64(), let checksum = reader.uint64() else { return nil }
        size = Int(UInt32(truncatingIfNeeded: start))
        let code = UInt8(truncatingIfNeeded: start >> 32)
        version = UInt8(truncatingIfNeeded: start >> 40)
        let flags = UInt16(truncatingIfNeeded: start >> 48)
        guard let type = FrameType(rawValue: code) else { throw .unknownType(code) }
        guard flags == 0 else { throw .wrongFlags(flags) }
        self.type = type
        self.checksum = checksum
        seed = start
    }

    func verify(_ body: UnsafeRawBufferPointer) throws(WireFailure) {
        guard unsafe Checksum.xxh3(body, seed: seed) == checksum else { throw .wrongChecksum }
    }

    /// Writes the header before a body that is in its place.
    static func seal(
        _ type: FrameType,
        version: UInt8,
        _ frame: UnsafeMutableRawBufferPointer
    ) {
        let size = frame.count - WireFormat.frameHeaderSize
        precondition(WireFormat.bodySizes.upperBound >= size && size >= 0)
        let start = UInt64(size) | UInt64(type.rawValue) << 32 | UInt64(version) << 40
        let body = unsafe UnsafeRawBufferPointer(
            rebasing: frame[WireFormat.frameHeaderSize...]
        )
        let checksum = unsafe Checksum.xxh3(body, seed: start)
        unsafe frame.storeBytes(of: start.littleEndian, as: UInt64.self)
        unsafe frame.storeBytes(of: checksum.littleEndian, toByteOffset: 8, as: UInt64.self)
    }

    /// A frame of which there is one size only.
    static func encoded(_ type: FrameType, _ body: borrowing ByteBuffer) -> [UInt8] {
        var frame = [UInt8](repeating: 0, count: WireFormat.frameHeaderSize)
        unsafe frame.append(contentsOf: body.bytes)
        unsafe frame.withUnsafeMutableBytes { frame in
            unsafe seal(type, version: 1, frame)
        }
        return frame
    }

    /// What says that its sender is still there.
    package static let heartbeat = encoded(.heartbeat, ByteBuffer())
}
