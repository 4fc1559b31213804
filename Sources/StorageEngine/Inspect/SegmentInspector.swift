// Looks at a segment file, whole or damaged. It reads, and never locks or writes.
//
// 1. The footer says where everything is, and the index where each data block is: without them the
//    entries cannot be told apart, and nothing more than an error is said.
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
        try handle(place(at: 0), .segment(info, storedBytes: dataEnd))
    }

    /// Hands blocks, or what is in a range of keys, to a closure.
    package func run(_ detail: Detail, keys: KeyRange = .all, _ handle: Handler) throws {
        if let index = try attempt(handle, index) {
            var number = keys.lower.withUnsafeBytes { index.block(for: $0) }
            while number < index.count {
                try inspect(index.handle(number), detail, keys, handle)
                // What comes behind is not before the separator.
                let isLast = keys.upper?.withUnsafeBytes { !index.key(number).precedes($0) }
                if isLast == true { break }
                number += 1
            }
        }
        switch detail {
        case .blocks: try inspectSections(handle)
        case .entries: try inspectRanges(keys, handle)
        }
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
            let block = try attempt(handle) { () throws(EngineError) in
                try read(section.handle, kind)
            }
            let shown = InspectedBlock(
                kind: "\(kind)",
                size: section.handle.size,
                rawSize: block?.bytes.count,
                firstKey: nil
            )
            try handle(place(at: section.handle.offset), .block(shown))
        }
    }

    // MARK: - What is lost

    /// What of a segment's entries cannot be read.
    package struct Losses: Sendable {
        /// The keys of the data blocks that are damaged; blocks side by side are one range.
        package var keys: [KeyRange] = []
        /// Whether the range tombstones are damaged.
        package var losesRanges = false
        /// Versions, and pieces of range tombstones, that can be read.
        package var readableCount: UInt64 = 0
        package var errors: [EngineError] = []
    }

    /// Reads all entries, and tells what cannot be read.
    ///
    /// - Throws: ``EngineError`` with code `corruption` when there is no index, so that nothing can
    ///   be read; `io`.
    package func losses() throws(EngineError) -> Losses {
        let index = try index()
        var losses = Losses()
        var lastLost: Int?
        for number in 0..<index.count {
            do throws(EngineError) {
                losses.readableCount += try countEntries(in: index.handle(number))
            } catch {
                guard !error.isOfSystem else { throw error }
                if losses.errors.count < Self.errorsMax { losses.errors.append(error) }
                let isNext = lastLost == number - 1 || losses.keys.count == Self.errorsMax
                let start = isNext ? losses.keys.popLast()?.lower : nil
                let lower = start ?? (number > 0 ? Array(index.key(number - 1)) : [])
                // The separator belongs to the block.
                let upper = Array(index.key(number)) + [0]
                losses.keys.append(KeyRange(from: lower, to: upper))
                lastLost = number
            }
        }
        do throws(EngineError) {
            losses.readableCount += try readRanges().map { UInt64($0.fragments.count) } ?? 0
        } catch {
            guard !error.isOfSystem else { throw error }
            losses.errors.append(error)
            losses.losesRanges = true
        }
        return losses
    }

    private static let errorsMax = 1000

    /// The entries of a data block, which must be in order.
    private func countEntries(in block: BlockHandle) throws(EngineError) -> UInt64 {
        guard let data = DataBlock(owningEntries: try readPayload(block, .data)) else {
            throw corrupt("malformed data block", at: block.offset)
        }
        var cursor = DataBlockCursor()
        cursor.open(data)
        cursor.seekToFirst()
        var count: UInt64 = 0
        while cursor.isOnEntry {
            count += 1
            cursor.next()
        }
        guard !cursor.isMalformed else { throw corrupt("malformed data block", at: block.offset) }
        return count
    }

    private func readRanges() throws(EngineError) -> RangeTombstones? {
        guard let section = footer.handle(of: .ranges) else { return nil }
        let block = try read(section, .ranges)
        do throws(DecodingFailure) {
            return try RangesBlock.decode(block.bytes)
        } catch {
            throw corrupt(error.reason, at: section.offset)
        }
    }

    // MARK: - Blocks

    /// Whether the file is the one that the manifest names.
    package func isNamed(by info: SegmentInfo) -> Bool {
        footer.fileSize == info.size && footer.contentChecksum == info.checksum
    }

    /// Where the data blocks end.
    private var dataEnd: UInt64 {
        let sections = [BlockKind.filter, .ranges, .index].compactMap { footer.handle(of: $0) }
        return sections.map(\.offset).min() ?? 0
    }

    private func index() throws(EngineError) -> SegmentIndex {
        guard let handle = footer.handle(of: .index) else {
            throw corrupt("no index", at: footer.fileSize)
        }
        let block = try read(handle, .index)
        guard let index = SegmentIndex(decoding: block.bytes, dataEnd: dataEnd) else {
            throw corrupt("malformed index", at: handle.offset)
        }
        return index
    }

    private func read(_ handle: BlockHandle, _ kind: BlockKind) throws(EngineError) -> Block {
        Block(owning: try readPayload(handle, kind))
    }

    /// Reads and verifies a block; the caller takes over the memory of its payload.
    private func readPayload(
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

    private func corrupt(_ what: String, at offset: UInt64) -> EngineError {
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
