/// The end of a segment file: where its sections are, and which file it is. The bytes are specified
/// in `SegmentFormat.swift`.
struct SegmentFooter: Hashable, Sendable {
    struct Section: Hashable, Sendable {
        let kind: UInt32
        let isRequired: Bool
        let handle: BlockHandle
    }

    let sections: [Section]
    let historyID: UniqueID
    let fileNumber, fileSize, contentChecksum: UInt64

    static func size(sectionCount: Int) -> Int {
        sectionCount * SegmentFormat.sectionSize + SegmentFormat.tailSize
    }

    /// How much of a file's end certainly holds the footer.
    static let sizeMax = size(sectionCount: SegmentFormat.sectionCountMax)

    func encode(into buffer: inout ByteBuffer) {
        let start = buffer.count
        for section in sections {
            buffer.append(section.kind)
            buffer.append(section.isRequired ? UInt32(1) : 0)
            buffer.append(section.handle.offset)
            buffer.append(UInt64(section.handle.size))
        }
        buffer.append(UInt32(sections.count))
        buffer.append(SegmentFormat.version)
        buffer.append(historyID)
        buffer.append(fileNumber)
        buffer.append(fileSize)
        buffer.append(contentChecksum)
        buffer.append(Checksum.xxh3(UnsafeRawBufferPointer(rebasing: buffer.bytes[start...])))
        buffer.append(SegmentFormat.magic)
    }

    init(
        sections: [Section],
        historyID: UniqueID,
        fileNumber: UInt64,
        fileSize: UInt64,
        contentChecksum: UInt64
    ) {
        self.sections = sections
        self.historyID = historyID
        self.fileNumber = fileNumber
        self.fileSize = fileSize
        self.contentChecksum = contentChecksum
    }

    /// Decodes the footer at the end of `bytes`, which end a file. They may be hostile.
    init(decoding bytes: UnsafeRawBufferPointer, file: String, size: UInt64) throws(EngineError) {
        let tailSize = SegmentFormat.tailSize
        func corrupt(_ what: String) -> EngineError {
            let offset = size - min(size, UInt64(tailSize))
            return .corruption("reading a segment's footer: \(what)", file: file, offset: offset)
        }
        guard bytes.count >= tailSize else { throw corrupt("the file has \(size) bytes") }
        var tail = ByteReader(bytes[in: bytes.count - tailSize, tailSize])
        guard let count = tail.uint32(), let version = tail.uint32(),
            let history = tail.uniqueID(), let number = tail.uint64(), let fileSize = tail.uint64(),
            let content = tail.uint64(), let checksum = tail.uint64(), let magic = tail.uint64()
        else { throw corrupt("cut short") }
        guard magic == SegmentFormat.magic else { throw corrupt("no magic number") }
        guard count <= UInt32(SegmentFormat.sectionCountMax),
            bytes.count >= Self.size(sectionCount: Int(count))
        else { throw corrupt("\(count) sections") }
        let start = bytes.count - Self.size(sectionCount: Int(count))
        let covered = bytes[in: start, bytes.count - 16 - start]
        guard Checksum.xxh3(covered) == checksum else { throw corrupt("wrong checksum") }
        guard version == SegmentFormat.version else {
            throw EngineError(
                .unsupportedFormat,
                "reading a segment: format version \(version), this program knows "
                    + "\(SegmentFormat.version)",
                file: file
            )
        }
        guard fileSize == size else { throw corrupt("\(size) bytes, \(fileSize) were written") }
        var reader = ByteReader(covered)
        let end = size - UInt64(bytes.count - start)
        var sections: [Section] = []
        for _ in 0..<count {
            guard let kind = reader.uint32(), let flags = reader.uint32(),
                let offset = reader.uint64(), let length = reader.uint64(), flags <= 1,
                length <= end, offset <= end - length,
                length <= SegmentFormat.storedSizeMax
            else { throw corrupt("impossible section") }
            let handle = BlockHandle(offset: offset, size: Int(length))
            sections.append(Section(kind: kind, isRequired: flags == 1, handle: handle))
        }
        self.init(
            sections: sections,
            historyID: history,
            fileNumber: number,
            fileSize: fileSize,
            contentChecksum: content
        )
    }

    /// Where a section is, `nil` when there is none.
    func handle(of kind: BlockKind) -> BlockHandle? {
        sections.first { $0.kind == UInt32(kind.rawValue) }?.handle
    }
}

/// What a segment says of its entries; tags and values of the properties block.
struct SegmentProperties: Hashable, Sendable {
    private(set) var info: SegmentInfo

    private enum Tag: UInt64, CaseIterable {
        case entryCount = 2
        case tombstoneCount = 4
        case rangeTombstoneCount = 6
        case minSequence = 8
        case maxSequence = 10
        case rawBytes = 12
        case smallest = 14
        case largest = 16
        case excludesLargest = 18
        case keyCount = 20
    }

    /// Number, size and checksum are the footer's.
    init(_ info: SegmentInfo) {
        self.info = info
        self.info.size = 0
        self.info.checksum = 0
    }

    func encode(into buffer: inout ByteBuffer) {
        for tag in Tag.allCases {
            buffer.append(varint: tag.rawValue)
            switch tag {
            case .smallest: append(info.smallest, to: &buffer)
            case .largest: append(info.largest, to: &buffer)
            case .excludesLargest: append([info.excludesLargest ? 1 : 0], to: &buffer)
            default:
                buffer.append(varint: 8)
                buffer.append(info[keyPath: Self.number(tag)])
            }
        }
    }

    private func append(_ key: [UInt8], to buffer: inout ByteBuffer) {
        buffer.append(varint: UInt64(key.count))
        key.withUnsafeBytes { buffer.append($0) }
    }

    private static func number(_ tag: Tag) -> WritableKeyPath<SegmentInfo, UInt64> {
        switch tag {
        case .entryCount: \.entryCount
        case .tombstoneCount: \.tombstoneCount
        case .rangeTombstoneCount: \.rangeTombstoneCount
        case .minSequence: \.minSequence
        case .maxSequence: \.maxSequence
        case .keyCount: \.keyCount
        case .rawBytes, .smallest, .largest, .excludesLargest: \.rawBytes
        }
    }

    /// Decodes a payload that may be hostile.
    init(decoding payload: UnsafeRawBufferPointer, number: UInt64) throws(DecodingFailure) {
        info = SegmentInfo(number: number)
        var reader = ByteReader(payload)
        var seen: Set<UInt64> = []
        while reader.remaining > 0 {
            guard let tag = reader.varint(), let size = reader.size(max: reader.remaining),
                let bytes = reader.bytes(size), seen.insert(tag).inserted
            else { throw .malformed("properties") }
            guard let known = Tag(rawValue: tag) else {
                guard tag % 2 == 1 else { throw .unsupported("property \(tag)") }
                continue
            }
            switch known {
            case .smallest: info.smallest = Array(bytes)
            case .largest: info.largest = Array(bytes)
            case .excludesLargest:
                guard size == 1, bytes[0] <= 1 else { throw .malformed("property \(tag)") }
                info.excludesLargest = bytes[0] == 1
            default:
                var value = ByteReader(bytes)
                guard size == 8, let number = value.uint64() else {
                    throw .malformed("property \(tag)")
                }
                info[keyPath: Self.number(known)] = number
            }
        }
        guard Tag.allCases.allSatisfy({ seen.contains($0.rawValue) }) else {
            throw .malformed("a property is missing")
        }
    }
}

/// The range tombstones of a segment.
enum RangesBlock {
    static func encode(_ ranges: RangeTombstones, into buffer: inout ByteBuffer) {
        for fragment in ranges.fragments {
            buffer.append(varint: UInt64(fragment.lower.count))
            fragment.lower.withUnsafeBytes { buffer.append($0) }
            buffer.append(varint: fragment.upper.map { UInt64($0.count) + 1 } ?? 0)
            fragment.upper?.withUnsafeBytes { buffer.append($0) }
            buffer.append(varint: UInt64(fragment.sequences.count))
            for sequence in fragment.sequences { buffer.append(varint: sequence) }
        }
    }

    /// Decodes a payload that may be hostile.
    static func decode(
        _ payload: UnsafeRawBufferPointer
    ) throws(DecodingFailure) -> RangeTombstones {
        var reader = ByteReader(payload)
        var fragments: [RangeFragment] = []
        while reader.remaining > 0 {
            guard let lowerSize = reader.size(max: Limits.keySize),
                let lower = reader.bytes(lowerSize),
                let upperSize = reader.size(max: Limits.keySize + 1),
                let upper = upperSize == 0 ? lower : reader.bytes(upperSize - 1),
                let count = reader.size(max: reader.remaining)
            else { throw .malformed("range tombstones") }
            var sequences: [UInt64] = []
            for _ in 0..<count {
                guard let sequence = reader.varint() else { throw .malformed("range tombstones") }
                sequences.append(sequence)
            }
            fragments.append(
                RangeFragment(
                    lower: Array(lower),
                    upper: upperSize == 0 ? nil : Array(upper),
                    sequences: sequences
                )
            )
        }
        return try RangeTombstones(fragments: fragments)
    }
}
