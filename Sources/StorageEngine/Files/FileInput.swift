/// Reads a file in large steps and hands out runs of it.
///
/// Thread safety: none.
struct FileInput: ~Copyable {
    private let file: StoreFile
    private var limit: UInt64
    private let stepSize: Int
    private var buffer: ByteBuffer
    /// The file offset of the buffer's first byte.
    private var start: UInt64 = 0

    init(file: StoreFile, limit: UInt64, stepSize: Int = 1 << 20) {
        self.file = file
        self.limit = limit
        self.stepSize = stepSize
        buffer = ByteBuffer(capacity: Int(min(UInt64(stepSize), max(limit, 4096))))
    }

    /// Moves the limit up: the file has grown.
    mutating func extend(to limit: UInt64) { self.limit = max(self.limit, limit) }

    /// Up to `count` bytes at an offset, fewer at the limit or the end of the file; valid until the
    /// next call.
    mutating func bytes(at offset: UInt64, upTo count: Int) throws(EngineError)
        -> UnsafeRawBufferPointer
    {
        guard offset < limit else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        let wanted = Int(min(UInt64(count), limit - offset))
        if offset < start || offset + UInt64(wanted) > start + UInt64(buffer.count) {
            try fill(at: offset, count: wanted)
        }
        let available = min(wanted, buffer.count - Int(offset - start))
        return UnsafeRawBufferPointer(start: buffer.base + Int(offset - start), count: available)
    }

    /// Exactly `count` bytes at an offset below the limit.
    ///
    /// - Throws: ``EngineError`` with code `corruption` when the file has become shorter.
    mutating func bytes(at offset: UInt64, count: Int) throws(EngineError) -> UnsafeRawBufferPointer
    {
        let bytes = try bytes(at: offset, upTo: count)
        guard bytes.count == count else {
            throw .corruption(
                "reading \(count) bytes: the file ends",
                file: file.name,
                offset: offset
            )
        }
        return bytes
    }

    /// The offset of the last byte in a range that is not zero; `nil` when all are.
    mutating func lastNonZero(
        from start: UInt64,
        to end: UInt64
    ) throws(EngineError) -> UInt64? {
        var last: UInt64?
        var offset = start
        while offset < end {
            let bytes = try bytes(at: offset, upTo: Int(min(end - offset, UInt64(stepSize))))
            guard !bytes.isEmpty else { break }
            if let index = bytes.lastNonZeroIndex { last = offset + UInt64(index) }
            offset += UInt64(bytes.count)
        }
        return last
    }

    private mutating func fill(at offset: UInt64, count: Int) throws(EngineError) {
        let size = Int(min(UInt64(max(count, stepSize)), limit - offset))
        buffer.removeAll()
        let target = UnsafeMutableRawBufferPointer(start: buffer.reserve(size), count: size)
        buffer.advance(by: try file.read(into: target, at: offset))
        start = offset
    }
}

extension UnsafeRawBufferPointer {
    /// The index of the last byte that is not zero; by words, which is five times as fast, for the
    /// reserved rest of a log file is looked at whenever a store was not closed.
    fileprivate var lastNonZeroIndex: Int? {
        var end = count
        while end >= 8, loadUnaligned(fromByteOffset: end - 8, as: UInt64.self) == 0 { end -= 8 }
        return self[..<end].lastIndex { $0 != 0 }
    }
}
