@testable import StorageEngine

// Makes the checks of bytes right, as far as the bytes still have a shape. What an error of a disk
// would break is right then; what a forger may write is tried.

/// A header and frames, as logs and manifests have them.
///
/// The input is short: the first ``headSize`` bytes of the header, then the frames. The rest of a
/// header is zero in any file that is small enough to be fuzzed.
enum FramedFile {
    static let headSize = 256
    private static let headerSize = LogFormat.headerSize

    /// The input that stands for a file.
    static func input(_ file: [UInt8]) -> [UInt8] {
        Array(file.prefix(headSize) + file.dropFirst(headerSize))
    }

    /// The file that an input stands for, with a header whose checksum is right.
    static func file(_ input: UnsafeRawBufferPointer) -> [UInt8] {
        var file = Array(input.prefix(headSize))
        file += [UInt8](repeating: 0, count: headerSize - file.count)
        file.store(file.hash(0..<headerSize - 8), at: headerSize - 8)
        return file + input.dropFirst(headSize)
    }

    /// Makes the checks of all frames right that lie one behind the other.
    static func resealFrames(_ file: inout [UInt8], seed: UInt64) {
        var offset = headerSize
        while let size = resealFrame(&file, at: offset, seed: seed) { offset += size }
    }

    /// The size of the frame at an offset, with padding; `nil` when it does not look like one.
    private static func resealFrame(_ file: inout [UInt8], at offset: Int, seed: UInt64) -> Int? {
        guard offset + FrameHeader.encodedSizeMin <= file.count else { return nil }
        let size = Int(file[offset + 4])
        guard size >= FrameHeader.encodedSizeMin, offset + size <= file.count else { return nil }
        let stored = file.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes[in: offset + 14, size - 14])
            return reader.size(max: file.count - offset - size)
        }
        guard let stored else { return nil }
        file.store(file.hash(offset + size..<offset + size + stored), at: offset + 6)
        sealHeader(&file, at: offset, size: size, seed: seed)
        return LogFormat.aligned(size + stored)
    }

    /// Makes the check of a frame's header right.
    static func sealHeader(_ file: inout [UInt8], at offset: Int, size: Int, seed: UInt64) {
        let hash = file.hash(offset + 4..<offset + size, seed: seed &+ UInt64(offset))
        file.store(UInt32(truncatingIfNeeded: hash), at: offset)
    }
}

/// A segment file.
enum SegmentFile {
    /// Makes the checksums of blocks and footer right, and the footer's word on the file's size.
    static func reseal(_ file: inout [UInt8]) {
        let tail = file.count - SegmentFormat.tailSize
        guard tail >= 0 else { return }
        let count = Int(file.uint32(at: tail))
        let start = tail - count * SegmentFormat.sectionSize
        guard count <= SegmentFormat.sectionCountMax, start >= 0 else { return }
        let identity = file.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes[in: tail + 8, 24])
            return (reader.uniqueID(), reader.uint64())
        }
        guard let historyID = identity.0, let number = identity.1 else { return }
        let seed = SegmentFormat.seed(historyID: historyID, fileNumber: number)
        var end = start
        var directory: Range<Int>?
        for section in 0..<count {
            let place = start + section * SegmentFormat.sectionSize
            let offset = Int(clamping: file.uint64(at: place + 8))
            let size = Int(clamping: file.uint64(at: place + 16))
            guard size >= SegmentFormat.blockHeaderSize, offset <= start, size <= start - offset
            else { continue }
            resealBlock(&file, offset..<offset + size, seed: seed)
            end = min(end, offset)
            if file.uint32(at: place) == UInt32(BlockKind.directory.rawValue) {
                directory = offset..<offset + size
            }
        }
        if let directory {
            resealPartitions(&file, directory: directory, end: end, seed: seed)
        }
        file.store(UInt64(file.count), at: tail + 32)
        file.store(file.hash(0..<start), at: tail + 40)
        file.store(file.hash(start..<tail + 48), at: tail + 48)
    }

    static func resealBlock(_ file: inout [UInt8], _ range: Range<Int>, seed: UInt64) {
        let covered = range.lowerBound + 8..<range.upperBound
        file.store(
            file.hash(covered, seed: seed &+ UInt64(range.lowerBound)),
            at: range.lowerBound
        )
    }

    private static func resealPartitions(
        _ file: inout [UInt8],
        directory: Range<Int>,
        end: Int,
        seed: UInt64
    ) {
        let decoded = decode(file, directory, .directory, seed: seed) {
            SegmentDirectory(decoding: $0, end: UInt64(end))
        }
        guard let decoded else { return }
        for number in 0..<decoded.count {
            let partition = decoded[number]
            for handle in [partition.filter, partition.index].compactMap({ $0 }) {
                resealBlock(&file, handle.range, seed: seed)
            }
            let index = decode(file, partition.index.range, .index, seed: seed) {
                SegmentIndex(decoding: $0, of: partition.data)
            }
            guard let index else { continue }
            for block in 0..<index.count {
                resealBlock(&file, index.handle(block).range, seed: seed)
            }
        }
    }

    private static func decode<Decoded>(
        _ file: [UInt8],
        _ range: Range<Int>,
        _ kind: BlockKind,
        seed: UInt64,
        _ body: (UnsafeRawBufferPointer) -> Decoded?
    ) -> Decoded? {
        let payload = file.withUnsafeBytes { bytes in
            accepted { () throws(EngineError) in
                try BlockDecoder.decode(
                    bytes[in: range.lowerBound, range.count],
                    kind,
                    at: UInt64(range.lowerBound),
                    seed: seed,
                    file: "segment"
                )
            }
        }
        guard let payload else { return nil }
        defer { payload.deallocate() }
        return body(UnsafeRawBufferPointer(payload))
    }
}

extension BlockHandle {
    fileprivate var range: Range<Int> { Int(offset)..<Int(offset) + size }
}

extension [UInt8] {
    func uint32(at offset: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 | UInt32(self[offset + $1]) << UInt32(8 * $1) }
    }

    func uint64(at offset: Int) -> UInt64 {
        (0..<8).reduce(0) { $0 | UInt64(self[offset + $1]) << UInt64(8 * $1) }
    }
}
