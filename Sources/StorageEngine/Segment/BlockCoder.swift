/// Wraps payloads as blocks. The bytes are specified in `SegmentFormat.swift`.
///
/// Thread safety: none.
struct BlockEncoder: ~Copyable {
    private let seed: UInt64
    private var compressed = ByteBuffer()

    init(seed: UInt64) { self.seed = seed }

    /// Appends a block that will lie at an offset of the file, and returns its size.
    ///
    /// A payload that LZ4 makes less than an eighth smaller is stored as it is: reading it is
    /// cheaper then.
    mutating func append(
        _ payload: UnsafeRawBufferPointer,
        _ kind: BlockKind,
        at offset: UInt64,
        to output: inout ByteBuffer
    ) -> Int {
        precondition(payload.count <= SegmentFormat.rawSizeMax)
        var stored = payload
        compressed.removeAll()
        if kind != .filter {
            let room = payload.count - payload.count / 8
            let target = UnsafeMutableRawBufferPointer(
                start: compressed.reserve(room),
                count: room
            )
            if let size = LZ4.compress(payload, to: target) {
                stored = UnsafeRawBufferPointer(start: target.baseAddress, count: size)
            }
        }
        let start = output.count
        output.append(UInt64(0))
        output.append(UInt32(payload.count))
        output.append(kind.rawValue)
        output.append(UInt8(stored.count < payload.count ? 1 : 0))
        output.append(zeros: 2)
        output.append(stored)
        let covered = UnsafeRawBufferPointer(rebasing: output.bytes[(start + 8)...])
        output.store(Checksum.xxh3(covered, seed: seed &+ offset), at: start)
        return output.count - start
    }
}

/// A verified, decompressed payload.
///
/// Thread safety: immutable.
class Block: @unchecked Sendable {
    /// The payload.
    let bytes: UnsafeRawBufferPointer
    private let memory: UnsafeMutableRawBufferPointer

    /// Takes over memory.
    init(owning memory: UnsafeMutableRawBufferPointer) {
        self.memory = memory
        bytes = UnsafeRawBufferPointer(memory)
    }

    deinit { memory.deallocate() }

    /// Bytes of memory that the block takes.
    var charge: Int { memory.count + Self.overhead }

    /// About what the object and its place in the cache take.
    static let overhead = 128
}

/// Reads, verifies and decompresses blocks of a file.
struct BlockDecoder {
    /// Calls a closure with uninitialized memory for the payload and returns a block that owns it.
    static func decode(
        _ stored: UnsafeRawBufferPointer,
        _ kind: BlockKind,
        at offset: UInt64,
        seed: UInt64,
        file: String
    ) throws(EngineError) -> UnsafeMutableRawBufferPointer {
        func corrupt(_ what: String) -> EngineError {
            .corruption("reading a segment's block: \(what)", file: file, offset: offset)
        }
        var reader = ByteReader(stored)
        guard let checksum = reader.uint64(), let rawSize = reader.uint32(),
            let storedKind = reader.byte(), let compression = reader.byte(),
            reader.byte() == 0, reader.byte() == 0
        else { throw corrupt("\(stored.count) bytes are no block") }
        let covered = UnsafeRawBufferPointer(rebasing: stored[8...])
        guard Checksum.xxh3(covered, seed: seed &+ offset) == checksum else {
            throw corrupt("wrong checksum")
        }
        guard storedKind == kind.rawValue else {
            throw corrupt("kind \(storedKind), expected \(kind.rawValue)")
        }
        let payload = UnsafeRawBufferPointer(rebasing: stored[SegmentFormat.blockHeaderSize...])
        let size = Int(rawSize)
        // LZ4 makes of one byte at most 255.
        guard size <= SegmentFormat.rawSizeMax,
            compression == 0 ? size == payload.count : size <= payload.count * 255 + 64
        else { throw corrupt("impossible size \(size)") }
        guard compression <= 1 else {
            throw EngineError(
                .unsupportedFormat,
                "reading a segment's block: compression \(compression) is unknown",
                file: file,
                offset: offset
            )
        }
        // The lines of a filter are those of the processor's cache. Other blocks have no need of
        // that: memory that is aligned so, once freed, would not do for another one of its size.
        let alignment = kind == .filter ? FilterBuilder.lineSize : 16
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: alignment)
        if compression == 0 {
            memory.copyMemory(from: payload)
            return memory
        }
        guard let base = memory.baseAddress,
            LZ4.decompress(payload, to: base, size: size, dictionarySize: 0)
        else {
            memory.deallocate()
            throw corrupt("malformed LZ4")
        }
        return memory
    }
}
