internal import Synchronization

/// An open segment file.
///
/// The file stays open, also after it was removed, until the last reference is dropped.
///
/// Thread safety: every method may be called from any thread.
package final class Segment: Sendable {
    package let info: SegmentInfo
    let file: StoreFile
    private let historyID: UniqueID
    private let seed: UInt64
    private let cache: BlockCache?
    private let directoryHandle: BlockHandle
    private let rangesHandle: BlockHandle?
    /// Where the partitions are; read when it is first asked for, and kept.
    private let directory = AtomicLazyReference<SegmentDirectory>()
    /// The range tombstones, which are few, and kept in memory.
    package let rangeTombstones: RangeTombstones

    /// How far a read may go for a block.
    package enum Access: Sendable {
        /// Read it from the file when it is not in the cache, and put it there.
        case any
        /// Give up when it is not in the cache.
        case cacheOnly
    }

    /// Opens a segment and checks that it is the one that the manifest names, without reading its
    /// entries.
    ///
    /// - Throws: ``EngineError`` with code `corruption`, `unsupportedFormat` or `io`.
    package init(
        _ info: SegmentInfo,
        file: StoreFile,
        historyID: UniqueID,
        cache: BlockCache?
    ) throws(EngineError) {
        let footer = try Self.footer(of: file)
        guard footer.historyID == historyID, footer.fileNumber == info.number,
            footer.fileSize == info.size, footer.contentChecksum == info.checksum
        else {
            throw .corruption(
                "opening a segment: it is number \(footer.fileNumber) of "
                    + "\(footer.fileSize) bytes, the manifest names number \(info.number) of "
                    + "\(info.size) bytes",
                file: file.name,
                offset: info.size - min(info.size, UInt64(SegmentFormat.tailSize))
            )
        }
        guard let directory = footer.handle(of: .directory) else {
            throw .corruption("opening a segment: no directory", file: file.name, offset: info.size)
        }
        self.info = info
        self.file = file
        self.cache = cache
        self.historyID = historyID
        seed = SegmentFormat.seed(historyID: historyID, fileNumber: info.number)
        directoryHandle = directory
        let ranges = footer.handle(of: .ranges)
        rangesHandle = ranges
        if let ranges {
            rangeTombstones = try Self.readRanges(ranges, file, seed)
        } else {
            rangeTombstones = .none
        }
    }

    deinit {
        if let directory = directory.load() { cache?.hold(-directory.charge) }
    }

    private static func readRanges(
        _ handle: BlockHandle,
        _ file: StoreFile,
        _ seed: UInt64
    ) throws(EngineError) -> RangeTombstones {
        let memory = try read(handle, .ranges, file, seed)
        defer { memory.deallocate() }
        do throws(DecodingFailure) {
            return try RangesBlock.decode(UnsafeRawBufferPointer(memory))
        } catch {
            throw .corruption(
                "reading a segment: \(error.reason)",
                file: file.name,
                offset: handle.offset
            )
        }
    }

    /// Reads the footer of a file.
    static func footer(of file: StoreFile) throws(EngineError) -> SegmentFooter {
        let size = try file.size()
        let length = min(size, UInt64(SegmentFooter.sizeMax))
        let bytes = try file.read(count: Int(length), at: size - length)
        let footer = try bytes.span.withUnsafeBytes { bytes throws(EngineError) in
            try SegmentFooter(decoding: bytes, file: file.name, size: size)
        }
        for section in footer.sections where section.isRequired {
            let isKnown =
                UInt8(exactly: section.kind).flatMap(BlockKind.init(rawValue:)) != nil
            guard isKnown else {
                throw EngineError(
                    .unsupportedFormat,
                    "reading a segment: section \(section.kind) is unknown to this program",
                    file: file.name
                )
            }
        }
        return footer
    }

    // MARK: - Blocks

    /// Where the partitions are; `nil` when only the cache may be asked and it was not read yet.
    func directory(_ access: Access) throws(EngineError) -> SegmentDirectory? {
        if let directory = directory.load() { return directory }
        guard access == .any else { return nil }
        let memory = try read(directoryHandle, .directory)
        defer { memory.deallocate() }
        guard
            let read = SegmentDirectory(
                decoding: UnsafeRawBufferPointer(memory),
                end: rangesHandle?.offset ?? directoryHandle.offset
            )
        else { throw malformed("directory", at: directoryHandle.offset) }
        let kept = directory.storeIfNil(read)
        if kept === read { cache?.hold(read.charge) }
        return kept
    }

    /// Where a partition's data blocks are; `nil` when only the cache may be asked and has none.
    func index(
        _ partition: SegmentPartition,
        _ access: Access = .any,
        fills: Bool = true
    ) throws(EngineError) -> SegmentIndex? {
        let handle = partition.index
        let name = BlockName(segment: info.number, offset: handle.offset)
        if let block = cache?.block(name) { return unsafeDowncast(block, to: SegmentIndex.self) }
        guard access == .any else { return nil }
        let memory = try read(handle, .index)
        defer { memory.deallocate() }
        let payload = UnsafeRawBufferPointer(memory)
        guard let index = SegmentIndex(decoding: payload, of: partition.data) else {
            throw malformed("index", at: handle.offset)
        }
        if fills { cache?.insert(index, name) }
        return index
    }

    /// A data block; `nil` when only the cache may be asked and does not have it. `fills`: whether
    /// it goes into the cache.
    func dataBlock(
        _ handle: BlockHandle,
        _ access: Access,
        fills: Bool = true
    ) throws(EngineError) -> DataBlock? {
        let name = BlockName(segment: info.number, offset: handle.offset)
        if let block = cache?.block(name) { return unsafeDowncast(block, to: DataBlock.self) }
        guard access == .any else { return nil }
        guard let block = DataBlock(owningEntries: try read(handle, .data)) else {
            throw malformed("data block", at: handle.offset)
        }
        if fills { cache?.insert(block, name) }
        return block
    }

    /// Whether a partition's filter says that a key may be there; `nil` when only the cache may be
    /// asked and does not have it.
    private func mayContain(
        _ hash: UInt64,
        _ partition: SegmentPartition,
        _ access: Access
    ) throws(EngineError) -> Bool? {
        guard let handle = partition.filter else { return true }
        let name = BlockName(segment: info.number, offset: handle.offset)
        if let block = cache?.block(name) {
            return unsafeDowncast(block, to: SegmentFilter.self).mayContain(hash)
        }
        guard access == .any else { return nil }
        let filter = try readFilter(handle)
        cache?.insert(filter, name)
        return filter.mayContain(hash)
    }

    private func readFilter(_ handle: BlockHandle) throws(EngineError) -> SegmentFilter {
        guard let filter = SegmentFilter(owningLines: try read(handle, .filter)) else {
            throw malformed("filter", at: handle.offset)
        }
        return filter
    }

    /// Reads and verifies a block; the caller takes over the memory of its payload.
    private func read(
        _ handle: BlockHandle,
        _ kind: BlockKind
    ) throws(EngineError) -> UnsafeMutableRawBufferPointer {
        try Self.read(handle, kind, file, seed)
    }

    private static func read(
        _ handle: BlockHandle,
        _ kind: BlockKind,
        _ file: StoreFile,
        _ seed: UInt64
    ) throws(EngineError) -> UnsafeMutableRawBufferPointer {
        let stored = UnsafeMutableRawBufferPointer.allocate(byteCount: handle.size, alignment: 16)
        defer { stored.deallocate() }
        let count = try file.read(into: stored, at: handle.offset)
        guard count == handle.size else {
            throw .corruption(
                "reading a segment's block: the file ends \(handle.size - count) bytes early",
                file: file.name,
                offset: handle.offset
            )
        }
        return try BlockDecoder.decode(
            UnsafeRawBufferPointer(stored),
            kind,
            at: handle.offset,
            seed: seed,
            file: file.name
        )
    }

    func malformed(_ what: String, at offset: UInt64) -> EngineError {
        .corruption("reading a segment: malformed \(what)", file: file.name, offset: offset)
    }

    // MARK: - Lookup

    /// About how many bytes of the file hold the keys of a range.
    package func approximateSize(of range: KeyRange) throws(EngineError) -> UInt64 {
        let start = try dataBlock(reaching: range.lower).lowerBound
        var last = (rangesHandle ?? directoryHandle).offset
        if let upper = range.upper { last = try dataBlock(reaching: upper).upperBound }
        return last - min(start, last)
    }

    /// Where the first data block is that may hold a key or what comes behind it; the end of all
    /// when there is none.
    private func dataBlock(reaching key: [UInt8]) throws(EngineError) -> Range<UInt64> {
        let end = (rangesHandle ?? directoryHandle).offset
        guard let directory = try directory(.any) else { return end..<end }
        let number = key.withUnsafeBytes { directory.first(reaching: $0) }
        guard number < directory.count, let index = try index(directory[number]) else {
            return end..<end
        }
        let block = key.withUnsafeBytes { index.first(reaching: $0) }
        let handle = index.handle(min(block, index.count - 1))
        return handle.offset..<handle.offset + UInt64(handle.size)
    }

    /// A version that a lookup found; its value is valid as long as ``owner``, or, when that is
    /// `nil`, as the index that holds it.
    struct Found {
        let sequence: UInt64
        let flags: UInt8
        let value: UnsafeRawBufferPointer
        let owner: Block?
    }

    enum Lookup {
        case found(Found)
        case absent
        /// Only the cache was to be asked, and it has not all that is needed.
        case notCached
    }

    /// Whether a key lies between the segment's least and greatest.
    func spans(_ key: UnsafeRawBufferPointer) -> Bool {
        info.smallest.withUnsafeBytes { !key.precedes($0) }
            && !info.ends(before: key)
    }

    /// Finds the newest version of a key at or below a sequence; `hash` is the key's XXH3-64.
    func find(
        _ key: UnsafeRawBufferPointer,
        hash: UInt64,
        at sequence: UInt64,
        _ access: Access
    ) throws(EngineError) -> Lookup {
        guard let directory = try directory(access) else { return .notCached }
        var number = directory.first(reaching: key)
        while number < directory.count {
            let partition = directory[number]
            guard let mayContain = try mayContain(hash, partition, access) else {
                return .notCached
            }
            guard mayContain else { return .absent }
            guard let index = try index(partition, access) else { return .notCached }
            if let result = try find(key, at: sequence, in: index, access) { return result }
            // The versions of a key may go on in the next partition.
            guard directory.key(number, is: key) else { return .absent }
            number += 1
        }
        return .absent
    }

    /// `nil`: it may only come behind the partition.
    private func find(
        _ key: UnsafeRawBufferPointer,
        at sequence: UInt64,
        in index: SegmentIndex,
        _ access: Access
    ) throws(EngineError) -> Lookup? {
        var number = index.first(reaching: key)
        while number < index.count {
            let handle = index.handle(number)
            guard let block = try dataBlock(handle, access) else { return .notCached }
            switch block.find(key, at: sequence) {
            case .found(let entry):
                let found = Found(
                    sequence: entry.sequence,
                    flags: entry.flags,
                    value: block.bytes[in: entry.value, entry.valueSize],
                    owner: block
                )
                return .found(found)
            case .absent: return .absent
            case .malformed: throw malformed("data block", at: handle.offset)
            case .behind:
                // The versions of a key may go on in the next block.
                guard index.key(number, is: key) else { return .absent }
                number += 1
            }
        }
        return nil
    }
}

// MARK: - Verification

extension Segment {
    /// Reads the whole file and checks all that can be checked: checksums, the order of entries,
    /// the filter, and what is said of them; the cache is left out.
    ///
    /// - Returns: What the segment holds, counted again.
    /// - Throws: ``EngineError`` with code `corruption`, `unsupportedFormat` or `io`.
    @discardableResult
    package func verify() throws(EngineError) -> SegmentInfo {
        try verifyChecksum()
        let plain = try Segment(info, file: file, historyID: historyID, cache: nil)
        var counted = SegmentInfo(number: info.number)
        counted.size = info.size
        counted.checksum = info.checksum
        counted.minSequence = .max
        var cursor = SegmentCursor([plain])
        try cursor.seekToFirst()
        var filter: (partition: SegmentPartition, filter: SegmentFilter?)?
        var last = ByteBuffer()
        var lastSequence: UInt64 = 0
        while cursor.isOnEntry {
            let entry = cursor.entry
            let isFirst = counted.entryCount == 0
            let isBehind =
                last.bytes.precedes(entry.key)
                || (last.bytes.isEqual(to: entry.key) && lastSequence > entry.sequence)
            guard isFirst || isBehind else { throw malformed("order of entries", at: 0) }
            if let partition = cursor.partition, filter?.partition != partition {
                let read = try partition.filter.map { handle throws(EngineError) in
                    try plain.readFilter(handle)
                }
                filter = (partition, read)
            }
            guard filter?.filter?.mayContain(Checksum.xxh3(entry.key)) != false else {
                throw malformed("filter", at: filter?.partition.filter?.offset ?? 0)
            }
            if isFirst { counted.smallest = Array(entry.key) }
            counted.note(entry, isNewKey: isFirst || !last.bytes.isEqual(to: entry.key))
            last.removeAll()
            last.append(entry.key)
            lastSequence = entry.sequence
            try cursor.next()
        }
        counted.largest = Array(last.bytes)
        counted.note(rangeTombstones)
        guard counted == info, try plain.properties() == SegmentProperties(info) else {
            throw malformed("properties", at: info.size)
        }
        return counted
    }

    private func verifyChecksum() throws(EngineError) {
        let footer = try Self.footer(of: file)
        let end = info.size - UInt64(SegmentFooter.size(sectionCount: footer.sections.count))
        var input = FileInput(file: file, limit: end)
        var stream = Checksum.Stream()
        var offset: UInt64 = 0
        while offset < end {
            let bytes = try input.bytes(at: offset, count: Int(min(1 << 20, end - offset)))
            stream.append(bytes)
            offset += UInt64(bytes.count)
        }
        guard stream.finish() == info.checksum else {
            throw .corruption(
                "verifying a segment: its bytes are not those that were written",
                file: file.name,
                offset: 0
            )
        }
    }

    /// What the segment says of itself.
    private func properties() throws(EngineError) -> SegmentProperties {
        let footer = try Self.footer(of: file)
        guard let handle = footer.handle(of: .properties) else {
            throw malformed("footer: no properties", at: info.size)
        }
        let memory = try read(handle, .properties)
        defer { memory.deallocate() }
        do throws(DecodingFailure) {
            return try SegmentProperties(
                decoding: UnsafeRawBufferPointer(memory),
                number: info.number
            )
        } catch {
            throw malformed("properties: \(error.reason)", at: handle.offset)
        }
    }
}
