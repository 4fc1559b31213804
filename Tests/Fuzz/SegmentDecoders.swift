@testable import StorageEngine

/// One block of a segment, as it is stored: of any kind, compressed or not.
enum StoredBlockDecoder: FuzzedDecoder {
    static let name = "block"
    private static let seed: UInt64 = 3

    static func check(_ input: UnsafeRawBufferPointer) {
        var bytes = input.copied
        guard bytes.count >= SegmentFormat.blockHeaderSize,
            let kind = BlockKind(rawValue: bytes[12])
        else { return }
        // A payload that is not compressed has the size it has.
        if bytes[13] == 0 {
            bytes.store(UInt32(bytes.count - SegmentFormat.blockHeaderSize), at: 8)
        }
        SegmentFile.resealBlock(&bytes, 0..<bytes.count, seed: seed)
        let payload = bytes.withUnsafeBytes { bytes in
            accepted { () throws(EngineError) in
                try BlockDecoder.decode(bytes, kind, at: 0, seed: seed, file: "segment")
            }
        }
        guard let payload else { return }
        checkEncoding(UnsafeRawBufferPointer(payload), kind)
        switch kind {
        case .data: checkEntries(DataBlock(owningEntries: payload))
        case .filter:
            guard let filter = SegmentFilter(owningLines: payload) else { return }
            for hash: UInt64 in [0, 1, .max, 0x1234_5678_9abc_def0] { _ = filter.mayContain(hash) }
        case .ranges:
            checkRanges(UnsafeRawBufferPointer(payload))
            payload.deallocate()
        case .index:
            checkIndex(UnsafeRawBufferPointer(payload))
            payload.deallocate()
        case .directory:
            checkDirectory(UnsafeRawBufferPointer(payload))
            payload.deallocate()
        case .properties:
            checkProperties(UnsafeRawBufferPointer(payload))
            payload.deallocate()
        }
    }

    private static func checkEncoding(_ payload: UnsafeRawBufferPointer, _ kind: BlockKind) {
        var encoder = BlockEncoder(seed: seed)
        var stored = ByteBuffer()
        precondition(encoder.append(payload, kind, at: 0, to: &stored) == stored.count)
        let again = accepted { () throws(EngineError) in
            try BlockDecoder.decode(stored.bytes, kind, at: 0, seed: seed, file: "segment")
        }
        guard let again else { preconditionFailure("a block that was encoded is decoded") }
        precondition(payload.equals(UnsafeRawBufferPointer(again)))
        again.deallocate()
    }

    /// Forward, back and by lookup; what is malformed ends a move, and traps nowhere.
    private static func checkEntries(_ block: DataBlock?) {
        guard let block else { return }
        var cursor = DataBlockCursor()
        cursor.open(block)
        cursor.seekToFirst()
        var count = 0
        var keys: [[UInt8]] = [[], [0xff]]
        while cursor.isOnEntry {
            count += 1
            if keys.count < 8 { keys.append(Array(cursor.key)) }
            _ = cursor.value.last
            cursor.next()
        }
        let isWhole = !cursor.isMalformed
        cursor.seekToLast()
        var backCount = 0
        while cursor.isOnEntry {
            backCount += 1
            cursor.previous()
        }
        if isWhole, !cursor.isMalformed {
            precondition(count == backCount, "\(count) entries forward, \(backCount) back")
        }
        for key in keys {
            key.withUnsafeBytes { key in
                _ = block.find(key, at: .max)
                _ = block.find(key, at: 1)
                cursor.open(block)
                cursor.seek(to: key, at: 5)
                cursor.open(block)
                cursor.seek(before: key)
                if cursor.isOnEntry { cursor.previous() }
            }
        }
    }

    private static func checkRanges(_ payload: UnsafeRawBufferPointer) {
        let decoded = accepted { () throws(DecodingFailure) in try RangesBlock.decode(payload) }
        guard let ranges = decoded else { return }
        var encoded = ByteBuffer()
        RangesBlock.encode(ranges, into: &encoded)
        let again = accepted { () throws(DecodingFailure) in
            try RangesBlock.decode(encoded.bytes)
        }
        precondition(again?.fragments == ranges.fragments, "fragments decode to themselves")
        for fragment in ranges.fragments.prefix(8) {
            fragment.lower.withUnsafeBytes { key in
                let newest = ranges.newest(covering: key, at: .max)
                precondition(newest == fragment.sequences.first)
            }
        }
    }

    private static func checkIndex(_ payload: UnsafeRawBufferPointer) {
        // The data ends where the blocks of the payload end, or nowhere that it says.
        let end = sum(payload, sizesEach: 1)
        guard let index = SegmentIndex(decoding: payload, of: 0..<end) else { return }
        var offset: UInt64 = 0
        for number in 0..<index.count {
            let handle = index.handle(number)
            precondition(handle.offset == offset, "blocks lie one behind the other")
            offset += UInt64(handle.size)
        }
        precondition(offset == end)
        search(index)
    }

    private static func checkDirectory(_ payload: UnsafeRawBufferPointer) {
        let end = sum(payload, sizesEach: 3)
        guard let directory = SegmentDirectory(decoding: payload, end: end) else { return }
        var offset: UInt64 = 0
        for number in 0..<directory.count {
            let partition = directory[number]
            precondition(partition.data.lowerBound == offset, "partitions lie one behind the other")
            offset = partition.index.offset + UInt64(partition.index.size)
        }
        precondition(offset == end)
        search(directory)
    }

    private static func search(_ block: SeparatorBlock) {
        for number in 0..<block.count {
            precondition(block.first(reaching: block.key(number)) <= number)
        }
        [UInt8](repeating: 0xff, count: 20).withUnsafeBytes { _ = block.first(reaching: $0) }
    }

    /// The sizes of all entries together, as far as there are entries.
    private static func sum(_ payload: UnsafeRawBufferPointer, sizesEach: Int) -> UInt64 {
        var reader = ByteReader(payload)
        var end: UInt64 = 0
        while reader.remaining > 0 {
            guard reader.varint() != nil, let suffix = reader.size(max: reader.remaining) else {
                break
            }
            for _ in 0..<sizesEach {
                guard let size = reader.size(max: 1 << 30) else { return end }
                end += UInt64(size)
            }
            guard reader.bytes(suffix) != nil else { break }
        }
        return end
    }

    private static func checkProperties(_ payload: UnsafeRawBufferPointer) {
        let decoded = accepted { () throws(DecodingFailure) in
            try SegmentProperties(decoding: payload, number: 1)
        }
        guard let properties = decoded else { return }
        var encoded = ByteBuffer()
        properties.encode(into: &encoded)
        let again = accepted { () throws(DecodingFailure) in
            try SegmentProperties(decoding: encoded.bytes, number: 1)
        }
        precondition(again == properties, "properties decode to themselves")
    }
}

/// A whole segment file: its footer, and all that readers do with it.
enum SegmentDecoder: FuzzedDecoder {
    static let name = "segment"

    static func check(_ input: UnsafeRawBufferPointer) {
        var bytes = input.copied
        SegmentFile.reseal(&bytes)
        let file = MemoryFile(bytes, name: "segment").opened
        _ = accepted { () throws(EngineError) in
            let footer = try Segment.footer(of: file)
            try checkFooter(footer, size: UInt64(bytes.count))
            let segment = try Segment(
                info(footer),
                file: file,
                historyID: footer.historyID,
                cache: nil
            )
            _ = accepted { () throws(EngineError) in try segment.verify() }
            try scan(segment)
        }
    }

    private static func checkFooter(
        _ footer: SegmentFooter,
        size: UInt64
    ) throws(EngineError) {
        var encoded = ByteBuffer()
        footer.encode(into: &encoded)
        let again = try SegmentFooter(decoding: encoded.bytes, file: "segment", size: size)
        precondition(again == footer, "a footer decodes to itself")
    }

    /// What a manifest would say that believes the file.
    private static func info(_ footer: SegmentFooter) -> SegmentInfo {
        var info = SegmentInfo(number: footer.fileNumber)
        info.size = footer.fileSize
        info.checksum = footer.contentChecksum
        info.largest = [UInt8](repeating: 0xff, count: 32)
        info.maxSequence = .max
        return info
    }

    private static func scan(_ segment: Segment) throws(EngineError) {
        var cursor = SegmentCursor([segment])
        var keys: [[UInt8]] = [[]]
        try cursor.seekToFirst()
        while cursor.isOnEntry {
            if keys.count < 4 { keys.append(Array(cursor.key)) }
            _ = cursor.value.last
            try cursor.next()
        }
        try cursor.seekToLast()
        while cursor.isOnEntry { try cursor.previous() }
        for key in keys {
            try find(key, in: segment)
            _ = try segment.approximateSize(of: KeyRange(from: key))
        }
    }

    private static func find(_ key: [UInt8], in segment: Segment) throws(EngineError) {
        let result = key.withUnsafeBytes { key in
            Result { () throws(EngineError) in
                let hash = Checksum.xxh3(key)
                if case .found(let found) = try segment.find(key, hash: hash, at: .max, .any) {
                    _ = found.value.last
                }
            }
        }
        try result.get()
    }
}
