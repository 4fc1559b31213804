/// Writes the bytes of a segment into a new file.
///
/// Thread safety: none; one owner.
package struct SegmentWriter: ~Copyable {
    private let file: StoreFile
    private let historyID: UniqueID
    private var info: SegmentInfo
    private var encoder: BlockEncoder
    private var block = DataBlockBuilder()
    private var filter = FilterBuilder()
    private var index = SeparatorBuilder()
    private var directory = SeparatorBuilder()
    private let partitionKeyCount: Int
    /// Where the partition begins, and where its last data block ends.
    private var partitionStart: UInt64 = 0
    private var dataEnd: UInt64 = 0
    /// A finished data block that waits for the first key behind it: its last key and its size.
    private var pendingKey = ByteBuffer()
    private var pendingSize: Int?

    private var output = ByteBuffer(capacity: Self.outputSize)
    private var checksum = Checksum.Stream()
    /// Bytes of the file that were written, and how many of them were synced.
    private var written: UInt64 = 0
    private var synced: UInt64 = 0
    private var sections: [SegmentFooter.Section] = []

    private static let outputSize = 1 << 20
    /// A file is synced at least this often while it grows, so that the last sync is short and
    /// those of the log need not wait for it.
    private static let syncDistance: UInt64 = 8 << 20

    package init(
        file: StoreFile,
        number: UInt64,
        historyID: UniqueID,
        partitionKeyCount: Int = SegmentFormat.partitionKeyCount
    ) {
        self.partitionKeyCount = partitionKeyCount
        self.file = file
        self.historyID = historyID
        info = SegmentInfo(number: number)
        info.minSequence = .max
        encoder = BlockEncoder(
            seed: SegmentFormat.seed(historyID: historyID, fileNumber: number)
        )
    }

    /// Bytes that are certain to be in the file.
    package var size: UInt64 { written + UInt64(output.count) }
    /// The key added last; valid until the next change, empty before the first.
    package var lastKey: UnsafeRawBufferPointer {
        block.isEmpty ? pendingKey.bytes : block.last
    }

    /// Adds an entry, which comes behind all others.
    package mutating func add(_ entry: SegmentEntry) throws(EngineError) {
        let isFirst = info.entryCount == 0
        if isFirst { info.smallest = Array(entry.key) }
        info.note(entry, isNewKey: isFirst || !lastKey.isEqual(to: entry.key))
        try index(before: entry.key)
        block.add(entry)
        filter.add(Checksum.xxh3(entry.key))
        if block.isFull { try finishBlock() }
    }

    private mutating func finishBlock() throws(EngineError) {
        pendingKey.removeAll()
        pendingKey.append(block.last)
        let offset = size
        var blockSize = 0
        block.finish { payload in
            blockSize = encoder.append(payload, .data, at: offset, to: &output)
        }
        pendingSize = blockSize
        dataEnd = size
        if output.count >= Self.outputSize { try writeOut() }
    }

    /// Adds the data block that is finished to the index, by the first key behind it, `nil` for
    /// none, and ends the partition when that is due.
    private mutating func index(before next: UnsafeRawBufferPointer?) throws(EngineError) {
        guard let blockSize = pendingSize else { return }
        pendingSize = nil
        let separator = SeparatorBuilder.separator(pendingKey.bytes, next)
        index.add(separator, sizes: blockSize)
        guard
            next == nil || filter.count >= partitionKeyCount
                || index.size >= SegmentFormat.partitionIndexSize
        else { return }
        var payload = ByteBuffer(capacity: 16 << 10)
        filter.finish(&payload)
        let filterSize = encoder.append(payload.bytes, .filter, at: size, to: &output)
        payload.removeAll()
        index.finish(&payload)
        let indexSize = encoder.append(payload.bytes, .index, at: size, to: &output)
        let dataSize = Int(dataEnd - partitionStart)
        directory.add(separator, sizes: dataSize, filterSize, indexSize)
        partitionStart = size
        if output.count >= Self.outputSize { try writeOut() }
    }

    private mutating func writeOut() throws(EngineError) {
        checksum.append(output.bytes)
        try file.write(output, at: written)
        written += UInt64(output.count)
        output.removeAll()
        if written - synced >= Self.syncDistance {
            try file.dataSync()
            synced = written
        }
    }

    /// Writes what is left, index and footer too; the file is still to be synced.
    ///
    /// - Returns: What the manifest is to say of the segment.
    package consuming func finish(
        _ ranges: RangeTombstones = .none
    ) throws(EngineError) -> SegmentInfo {
        precondition(info.entryCount > 0 || !ranges.isEmpty, "a segment is not empty")
        if !block.isEmpty { try finishBlock() }
        if info.entryCount > 0 { info.largest = Array(pendingKey.bytes) }
        info.note(ranges)
        try index(before: nil)
        var payload = ByteBuffer(capacity: 4096)
        if !ranges.isEmpty {
            RangesBlock.encode(ranges, into: &payload)
            try add(payload, .ranges)
        }
        payload.removeAll()
        directory.finish(&payload)
        try add(payload, .directory)
        payload.removeAll()
        SegmentProperties(info).encode(into: &payload)
        try add(payload, .properties)
        try writeOut()
        info.checksum = checksum.finish()
        info.size = written + UInt64(SegmentFooter.size(sectionCount: sections.count))
        let footer = SegmentFooter(
            sections: sections,
            historyID: historyID,
            fileNumber: info.number,
            fileSize: info.size,
            contentChecksum: info.checksum
        )
        footer.encode(into: &output)
        try file.write(output, at: written)
        return info
    }

    private mutating func add(
        _ payload: borrowing ByteBuffer,
        _ kind: BlockKind
    ) throws(EngineError) {
        let offset = size
        let blockSize = encoder.append(payload.bytes, kind, at: offset, to: &output)
        sections.append(
            SegmentFooter.Section(
                kind: UInt32(kind.rawValue),
                isRequired: true,
                handle: BlockHandle(offset: offset, size: blockSize)
            )
        )
        if output.count >= Self.outputSize { try writeOut() }
    }
}
