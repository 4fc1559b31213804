// Looks at a segment file, whole or damaged. It reads, and never locks or writes.
//
// 1. The footer says where the directory is, that where the partitions are, and the index of each
//    where its data blocks are: without one of them the entries behind it cannot be told apart, and
//    nothing more than an error is said of them.
// 2. Each block is verified by itself. A block that is damaged is told, and the next one is read.

/// What an inspection of a segment comes across.
package enum SegmentEvent {
    /// What the segment says of itself, and the bytes of its data blocks as they are stored.
    case segment(SegmentInfo, storedBytes: UInt64)
    case block(InspectedBlock)
    /// A version, or a piece of a range tombstone.
    case entry(InspectedOperation, sequence: UInt64)
    case error(EngineError)
}

/// A block of a segment.
package struct InspectedBlock: Sendable, Hashable {
    package let kind: String
    /// Bytes in the file, header included.
    package let size: Int
    /// Bytes of the payload, uncompressed; `nil` when the block is damaged.
    package let rawSize: Int?
    /// The first key, where the block holds entries.
    package let firstKey: [UInt8]?
}

/// Reads a segment tolerantly.
///
/// Thread safety: none; one owner.
package final class SegmentInspector {
    package typealias Handler = (LogPlace, SegmentEvent) throws -> Void

    /// What is shown besides the segment itself.
    package enum Detail: Sendable { case blocks, entries }

    private let file: StoreFile
    private let number: UInt64
    private let footer: SegmentFooter
    private let seed: UInt64
    /// Whether anything that was read so far is damaged.
    package private(set) var isDamaged = false

    /// Opens a segment and reads its footer. `name`: the file it is in, where that is another one.
    ///
    /// - Throws: ``EngineError`` with code `io` and ENOENT when there is none, `corruption` when it
    ///   has no good footer, or is of another number, or of another history than the one given.
    package init(
        number: UInt64,
        in directory: StoreDirectory,
        historyID: UniqueID? = nil,
        name: FileName? = nil
    ) throws(EngineError) {
        file = try directory.open(name ?? .segment(number), for: .read)
        footer = try Segment.footer(of: file)
        guard footer.fileNumber == number, footer.historyID == historyID ?? footer.historyID else {
            throw .corruption(
                "opening a segment: it is number \(footer.fileNumber) of history "
                    + "\(footer.historyID)",
                file: file.name,
                offset: footer.fileSize - UInt64(SegmentFormat.tailSize)
            )
        }
        self.number = number
        seed = SegmentFormat.seed(historyID: footer.historyID, fileNumber: number)
    }

    /// What the segment says of itself.
    ///
    /// - Throws: ``EngineError`` with code `corruption`, `unsupportedFormat` or `io`.
    package func info() throws(EngineError) -> SegmentInfo {
        guard let handle = footer.handle(of: .properties) else {
            throw corrupt("no properties", at: footer.fileSize)
        }
        let block = try read(handle, .properties)
        do throws(DecodingFailure) {
            var info = try SegmentProperties(decoding: block.bytes, number: number).info
            info.size = footer.fileSize
            info.checksum = footer.contentChecksum
            return info
        } catch {
            throw corrupt(error.reason, at: handle.offset)
        }
    }

    /// Checks all that can be checked. `named`: what the manifest says of the segment.
    ///
    /// - Throws: ``EngineError`` with code `corruption`, `unsupportedFormat` or `io`.
    @discardableResult
    package func verify(_ named: SegmentInfo? = nil) throws(EngineError) -> SegmentInfo {
        let expected: SegmentInfo
        if let named { expected = named } else { expected = try info() }
        let segment = try Segment(
            expected,
            file: file,
            historyID: footer.historyID,
            cache: nil
        )
        return try segment.verify()
    }

    // MARK: - What is there

    /// Hands what the segment says of itself to a closure.
    package func describe(_ handle: Handler) throws {
        guard let info = try attempt(handle, info) else { return }
        let directory = try attempt(handle) { () throws(EngineError) in try self.directory() }
        let stored = directory.map { directory in
            (0..<directory.count).reduce(0) { $0 + UInt64(directory[$1].data.count) }
        }
        try handle(place(at: 0), .segment(info, storedBytes: stored ?? 0))
    }

    /// Hands blocks, or what is in a range of keys, to a closure.
    package func run(_ detail: Detail, keys: KeyRange = .all, _ handle: Handler) throws {
        let found = try attempt(handle) { () throws(EngineError) in try self.directory() }
        if let directory = found {
            var number = keys.lower.withUnsafeBytes { directory.first(reaching: $0) }
            while number < directory.count {
                try inspect(directory[number], detail, keys, handle)
                if directory.ends(keys, at: number) { break }
                number += 1
            }
        }
        switch detail {
        case .blocks: try inspectSections(handle)
        case .entries: try inspectRanges(keys, handle)
        }
    }

    private func inspect(
        _ partition: SegmentPartition,
        _ detail: Detail,
        _ keys: KeyRange,
        _ handle: Handler
    ) throws {
        let index = try attempt(handle) { () throws(EngineError) in try self.index(partition) }
        if let index {
            var number = keys.lower.withUnsafeBytes { index.first(reaching: $0) }
            while number < index.count {
                try inspect(index.handle(number), detail, keys, handle)
                if index.ends(keys, at: number) { break }
                number += 1
            }
        }
        guard detail == .blocks else { return }
        if let filter = partition.filter { try show(filter, .filter, handle) }
        try show(partition.index, .index, handle)
    }

    private func inspect(
        _ block: BlockHandle,
        _ detail: Detail,
        _ keys: KeyRange,
        _ handle: Handler
    ) throws {
        let found = try attempt(handle) { () throws(EngineError) in
            guard let data = DataBlock(owningEntries: try readPayload(block, .data)) else {
                throw corrupt("malformed data block", at: block.offset)
            }
            return data
        }
        switch detail {
        case .entries:
            if let found { try inspectEntries(found, at: block, keys, handle) }
        case .blocks:
            var cursor = DataBlockCursor()
            cursor.open(found)
            cursor.seekToFirst()
            let shown = InspectedBlock(
                kind: "data",
                size: block.size,
                rawSize: found?.bytes.count,
                firstKey: cursor.isOnEntry ? Array(cursor.key) : nil
            )
            try handle(place(at: block.offset), .block(shown))
        }
    }

    private func inspectEntries(
        _ data: DataBlock,
        at block: BlockHandle,
        _ keys: KeyRange,
        _ handle: Handler
    ) throws {
        var cursor = DataBlockCursor()
        cursor.open(data)
        cursor.seekToFirst()
        while cursor.isOnEntry {
            let entry = SegmentEntry(
                key: cursor.key,
                sequence: cursor.sequence,
                flags: cursor.flags,
                value: cursor.value
            )
            if keys.contains(cursor.key) {
                let operation = InspectedOperation(entry)
                try handle(
                    place(at: block.offset),
                    .entry(operation, sequence: cursor.sequence)
                )
            }
            cursor.next()
        }
        guard cursor.isMalformed else { return }
        _ = try attempt(handle) { () throws(EngineError) in
            throw corrupt("malformed data block", at: block.offset)
        }
    }

    private func inspectRanges(_ keys: KeyRange, _ handle: Handler) throws {
        guard let section = footer.handle(of: .ranges) else { return }
        let found = try attempt(handle, readRanges) ?? nil
        for fragment in found?.fragments ?? [] {
            let operation = InspectedOperation(fragment)
            guard operation.touches(keys) else { continue }
            for sequence in fragment.sequences {
                try handle(place(at: section.offset), .entry(operation, sequence: sequence))
            }
        }
    }

    private func inspectSections(_ handle: Handler) throws {
        for section in footer.sections {
            let kind = UInt8(exactly: section.kind).flatMap(BlockKind.init(rawValue:))
            guard let kind else { continue }
            try show(section.handle, kind, handle)
        }
    }

    /// Hands a block without entries to a closure.
    private func show(_ block: BlockHandle, _ kind: BlockKind, _ handle: Handler) throws {
        let found = try attempt(handle) { () throws(EngineError) in try read(block, kind) }
        let shown = InspectedBlock(
            kind: "\(kind)",
            size: block.size,
            rawSize: found?.bytes.count,
            firstKey: nil
        )
        try handle(place(at: block.offset), .block(shown))
    }

    // MARK: - Blocks

    func readRanges() throws(EngineError) -> RangeTombstones? {
        guard let section = footer.handle(of: .ranges) else { return nil }
        let block = try read(section, .ranges)
        do throws(DecodingFailure) {
            return try RangesBlock.decode(block.bytes)
        } catch {
            throw corrupt(error.reason, at: section.offset)
        }
    }

    /// Whether the file is the one that the manifest names.
    package func isNamed(by info: SegmentInfo) -> Bool {
        footer.fileSize == info.size && footer.contentChecksum == info.checksum
    }

    func directory() throws(EngineError) -> SegmentDirectory {
        guard let handle = footer.handle(of: .directory) else {
            throw corrupt("no directory", at: footer.fileSize)
        }
        let block = try read(handle, .directory)
        let end = footer.handle(of: .ranges)?.offset ?? handle.offset
        guard let directory = SegmentDirectory(decoding: block.bytes, end: end) else {
            throw corrupt("malformed directory", at: handle.offset)
        }
        return directory
    }

    func index(_ partition: SegmentPartition) throws(EngineError) -> SegmentIndex {
        let block = try read(partition.index, .index)
        guard let index = SegmentIndex(decoding: block.bytes, of: partition.data) else {
            throw corrupt("malformed index", at: partition.index.offset)
        }
        return index
    }

    private func read(_ handle: BlockHandle, _ kind: BlockKind) throws(EngineError) -> Block {
        Block(owning: try readPayload(handle, kind))
    }

    /// Reads and verifies a block; the caller takes over the memory of its payload.
    func readPayload(
        _ handle: BlockHandle,
        _ kind: BlockKind
    ) throws(EngineError) -> UnsafeMutableRawBufferPointer {
        let stored = UnsafeMutableRawBufferPointer.allocate(byteCount: handle.size, alignment: 16)
        defer { stored.deallocate() }
        let count = try file.read(into: stored, at: handle.offset)
        return try BlockDecoder.decode(
            UnsafeRawBufferPointer(rebasing: stored[..<count]),
            kind,
            at: handle.offset,
            seed: seed,
            file: file.name
        )
    }

    // MARK: - Errors

    private func place(at offset: UInt64) -> LogPlace { LogPlace(file: file.name, offset: offset) }

    func corrupt(_ what: String, at offset: UInt64) -> EngineError {
        .corruption("reading a segment: \(what)", file: file.name, offset: offset)
    }

    /// Tells of damage, and goes on; a failed call of the system ends the inspection.
    private func attempt<R>(
        _ handle: Handler,
        _ body: () throws(EngineError) -> R
    ) throws -> R? {
        do throws(EngineError) {
            return try body()
        } catch {
            guard !error.isOfSystem else { throw error }
            isDamaged = true
            try handle(place(at: error.offset ?? 0), .error(error))
            return nil
        }
    }
}

extension SeparatorBlock {
    /// Whether what comes behind an entry has no key of a range.
    fileprivate func ends(_ keys: KeyRange, at number: Int) -> Bool {
        // What comes behind is not before the separator.
        keys.upper?.withUnsafeBytes { !key(number).precedes($0) } ?? false
    }
}
