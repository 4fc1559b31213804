import StorageEngine

/// Makes the frames of one packet, one after another.
///
/// Thread safety: none; a value.
package struct PacketEncoder: Sendable {
    private let type: FrameType
    private let fields: [UInt8]
    private let payload: [UInt8]
    /// How much of the content is in frames.
    private var encoded = 0
    private var hasBegun = false

    /// - Throws: `tooLarge` when no receiver would take it.
    package init(_ packet: Packet, limits: WireLimits = WireLimits()) throws(WireFailure) {
        type = packet.message.frameType
        precondition(type.hasPayload || packet.payload.isEmpty, "a message without a payload")
        var buffer = ByteBuffer()
        packet.message.encode(to: &buffer)
        fields = unsafe Array(buffer.bytes)
        payload = packet.payload
        guard fields.count <= type.fieldsSizeMax else {
            throw .tooLarge(type, size: UInt64(fields.count), max: type.fieldsSizeMax)
        }
        guard payload.count <= limits.payloadSizeMax else {
            throw .tooLarge(type, size: UInt64(payload.count), max: limits.payloadSizeMax)
        }
    }

    /// What the packet takes in memory, in bytes.
    package var size: Int { fields.count + payload.count }

    /// The size of the next frame, header included; `nil` when all are made.
    package func nextFrameSize(bodySizeMax: Int) -> Int? {
        guard !hasBegun || encoded < size else { return nil }
        let head = hasBegun ? 0 : WireFormat.messageHeaderSize
        return WireFormat.frameHeaderSize + min(bodySizeMax, head + size - encoded)
    }

    /// Writes the next frame to where it goes; the target has exactly ``nextFrameSize`` bytes.
    package mutating func encodeFrame(to target: UnsafeMutableRawBufferPointer, version: UInt8) {
        let frameType = hasBegun ? .piece : type
        var offset = WireFormat.frameHeaderSize
        if !hasBegun {
            hasBegun = true
            unsafe target.storeBytes(
                of: UInt32(fields.count).littleEndian,
                toByteOffset: offset,
                as: UInt32.self
            )
            unsafe target.storeBytes(
                of: UInt64(payload.count).littleEndian,
                toByteOffset: offset + 4,
                as: UInt64.self
            )
            offset += WireFormat.messageHeaderSize
        }
        while offset < target.count {
            let isField = encoded < fields.count
            let start = isField ? encoded : encoded - fields.count
            let part = isField ? fields[start...] : payload[start...]
            let count = min(part.count, target.count - offset)
            unsafe part.prefix(count).withUnsafeBytes { part in
                unsafe UnsafeMutableRawBufferPointer(rebasing: target[offset...])
                    .copyMemory(from: part)
            }
            offset += count
            encoded += count
        }
        unsafe WireFrame.seal(frameType, version: version, target)
    }
}
