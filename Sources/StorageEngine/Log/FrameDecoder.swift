/// Decodes the payloads of consecutive frames; their hashes have been verified.
///
/// Thread safety: none.
struct FrameDecoder: ~Copyable {
    /// The raw payloads since the last restart, one behind the other.
    private let window: UnsafeMutableRawPointer
    private var position = 0
    /// Whether the window holds what the next frame needs.
    private var hasContext = false
    /// The operations of a large frame.
    private var large = ByteBuffer()

    init() { window = .allocate(byteCount: LogFormat.windowSize, alignment: 16) }
    deinit { window.deallocate() }

    /// The records of a frame, borrowed until the next call.
    mutating func records(
        _ header: FrameHeader,
        payload: UnsafeRawBufferPointer,
        baseStamp: UInt64
    ) throws(DecodingFailure) -> Records {
        var records = Records(header, baseStamp: baseStamp)
        guard header.hasRecords else {
            // The index in a seal is for those who look for a place to start.
            let sizeMax = header.flags.contains(.seal) ? RestartIndex.encodedSizeMax : 0
            guard header.storedSize <= sizeMax, header.rawSize == header.storedSize else {
                throw .malformed("payload in a frame without records")
            }
            return records
        }
        if header.flags.contains(.large) {
            try decodeLarge(header, payload, into: &records)
        } else {
            records.reader = ByteReader(try decodeStreamed(header, payload))
        }
        return records
    }

    private mutating func decodeStreamed(
        _ header: FrameHeader,
        _ payload: UnsafeRawBufferPointer
    ) throws(DecodingFailure) -> UnsafeRawBufferPointer {
        if header.flags.contains(.restart) {
            position = 0
        } else if !hasContext {
            throw .malformed("frame without the ones it builds on")
        }
        let target = window + position
        guard header.rawSize <= LogFormat.windowSize - position else {
            throw .malformed("raw size \(header.rawSize)")
        }
        if header.flags.contains(.storedRaw) {
            guard payload.count == header.rawSize else { throw .malformed("raw size") }
            _ = target.appending(payload)
        } else {
            let isDecoded = LZ4.decompress(
                payload,
                to: target,
                size: header.rawSize,
                dictionarySize: min(position, 64 << 10)
            )
            guard isDecoded else { throw .malformed("compressed payload") }
        }
        hasContext = true
        position += header.rawSize
        return UnsafeRawBufferPointer(start: target, count: header.rawSize)
    }

    private mutating func decodeLarge(
        _ header: FrameHeader,
        _ payload: UnsafeRawBufferPointer,
        into records: inout Records
    ) throws(DecodingFailure) {
        hasContext = false
        var reader = ByteReader(payload)
        let (head, size) = try records.decodeHead(&reader)
        guard let stored = reader.bytes(reader.remaining) else { return }
        guard header.rawSize == payload.count - stored.count + size else {
            throw .malformed("raw size \(header.rawSize)")
        }
        if header.flags.contains(.storedRaw) {
            guard stored.count == size else { throw .malformed("raw size") }
            records.single = (head, stored)
            return
        }
        // LZ4 expands a byte to at most 255: what claims more is refused before memory is taken.
        guard size <= 255 * stored.count + 64 else { throw .malformed("raw size \(size)") }
        large.removeAll()
        let target = large.reserve(size)
        guard LZ4.decompress(stored, to: target, size: size, dictionarySize: 0) else {
            throw .malformed("compressed operations")
        }
        large.advance(by: size)
        records.single = (head, large.bytes)
    }

    /// The records of one frame, one by one.
    struct Records {
        private let header: FrameHeader
        private var previousSequence: UInt64
        private var previousStamp: UInt64
        fileprivate var reader = ByteReader(UnsafeRawBufferPointer(start: nil, count: 0))
        fileprivate var single: (head: RecordHead, operations: UnsafeRawBufferPointer)?

        fileprivate init(_ header: FrameHeader, baseStamp: UInt64) {
            self.header = header
            previousSequence = header.previousSequence
            previousStamp = baseStamp
        }

        mutating func next() throws(DecodingFailure) -> (
            head: RecordHead, operations: UnsafeRawBufferPointer
        )? {
            if let record = single {
                single = nil
                return record
            }
            guard reader.remaining > 0 else {
                guard previousSequence == header.lastSequence else {
                    throw .malformed("last sequence \(previousSequence)")
                }
                return nil
            }
            var reader = self.reader
            let (head, size) = try decodeHead(&reader)
            guard let operations = reader.bytes(size) else { throw .malformed("operations") }
            self.reader = reader
            return (head, operations)
        }

        fileprivate mutating func decodeHead(
            _ reader: inout ByteReader
        ) throws(DecodingFailure) -> (RecordHead, Int) {
            var size = 0
            let head = try RecordHead(
                &reader,
                previousSequence: previousSequence,
                previousStamp: previousStamp,
                operationsSize: &size
            )
            guard
                previousSequence != header.previousSequence
                    || head.sequence == header.firstSequence, head.sequence <= header.lastSequence
            else { throw .malformed("sequence \(head.sequence)") }
            previousSequence = head.sequence
            previousStamp = head.stamp
            return (head, size)
        }
    }
}
