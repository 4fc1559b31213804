// From what can be read of segments and of the log to new segments.

/// Copies what can be read of a segment into a new one.
struct SegmentCopier {
    let source: StoreDirectory
    let sourceHistoryID: UniqueID
    let target: StoreDirectory
    let historyID: UniqueID
    let numbers: SegmentNumbers

    /// Copies a segment of which something can be read; the copy is durable when this returns.
    func copy(_ segment: SurveyedSegment) throws(EngineError) -> Segment {
        let number = numbers.take()
        var info = SegmentInfo(number: number)
        let inspector = try SegmentInspector(
            number: segment.number,
            in: source,
            historyID: sourceHistoryID,
            name: segment.name
        )
        let file = try target.durableCreate(.segment(number)) { file throws(EngineError) in
            info = try fill(
                SegmentWriter(file: file, number: number, historyID: historyID),
                inspector
            )
        }
        return try Segment(info, file: file, historyID: historyID, cache: nil)
    }

    private func fill(
        _ writer: consuming SegmentWriter,
        _ inspector: SegmentInspector
    ) throws(EngineError) -> SegmentInfo {
        var tombstones: [RangeTombstone] = []
        do {
            try inspector.run(.entries) { _, event in
                guard case .entry(let operation, let sequence) = event else { return }
                if operation.kind == .rangeDelete {
                    let range = KeyRange(from: operation.key, to: operation.upper)
                    tombstones.append(RangeTombstone(range, sequence: sequence))
                } else {
                    try Self.add(operation, sequence, to: &writer)
                }
            }
        } catch let error as EngineError {
            throw error
        } catch {
            preconditionFailure("no other error is thrown here")
        }
        return try writer.finish(RangeTombstones(tombstones))
    }

    private static func add(
        _ operation: InspectedOperation,
        _ sequence: UInt64,
        to writer: inout SegmentWriter
    ) throws(EngineError) {
        let result = operation.key.withUnsafeBytes { key in
            (operation.value ?? []).withUnsafeBytes { value in
                Result { () throws(EngineError) in
                    try writer.add(
                        SegmentEntry(
                            key: key,
                            sequence: sequence,
                            flags: operation.kind == .delete ? VersionFlags.tombstone : 0,
                            value: value
                        )
                    )
                }
            }
        }
        try result.get()
    }
}

/// Puts records into segments, each no larger than fits a memory index of some size.
///
/// Thread safety: none; one owner.
final class LogSpill {
    private let output: SegmentOutput
    private let memoryMax: Int
    private var index = MemoryIndex()
    private var lastSequence: UInt64 = 0
    private(set) var segments: [Segment] = []

    init(_ output: SegmentOutput, memoryMax: Int) {
        self.output = output
        self.memoryMax = memoryMax
    }

    /// Takes a record; their sequences ascend.
    func add(_ head: RecordHead, _ operations: [UInt8]) throws(EngineError) {
        if !index.isEmpty, index.usedBytes + operations.count > memoryMax { try finish() }
        let retention = MemoryIndex.Retention(visible: lastSequence, registered: [])
        lastSequence = head.sequence
        do throws(DecodingFailure) {
            try operations.span.withUnsafeBytes { bytes throws(DecodingFailure) in
                try index.insert(bytes, sequence: head.sequence, retention: retention)
            }
        } catch {
            throw EngineError(
                .corruption,
                "reading the record at sequence \(head.sequence): \(error.reason)"
            )
        }
    }

    /// Writes what is in memory.
    func finish() throws(EngineError) {
        guard !index.isEmpty else { return }
        segments += try output.write(IndexStream(index, registered: []))
        index = MemoryIndex()
    }
}

/// Merges segments into others that do not overlap: of every key the newest version is left, and no
/// tombstone.
enum SegmentMerge {
    static func run(
        _ segments: [Segment],
        _ output: SegmentOutput
    ) throws(EngineError) -> [Segment] {
        let stream = CompactionStream(chains(segments), deeper: [], registered: [])
        let merged = try output.write(stream)
        let written = merged.reduce(0) { $0 + $1.info.entryCount }
        let expected = segments.reduce(0) { $0 + $1.info.entryCount }
        guard stream.readCount == expected, written + stream.droppedCount == expected else {
            output.remove(merged)
            throw EngineError(
                .corruption,
                "merging segments: \(stream.readCount) entries were read and \(written) written, "
                    + "\(expected) are in the inputs and \(stream.droppedCount) were dropped"
            )
        }
        return merged
    }

    /// The segments in as few rows without overlap as possible: one of each row is read at a time.
    private static func chains(_ segments: [Segment]) -> [[Segment]] {
        var chains: [[Segment]] = []
        let sorted = segments.sorted {
            $0.info.smallest.lexicographicallyPrecedes($1.info.smallest)
        }
        for segment in sorted {
            let place = chains.firstIndex { $0.last?.info.ends(before: segment.info) == true }
            if let place { chains[place].append(segment) } else { chains.append([segment]) }
        }
        return chains
    }

    /// The level that segments of a size fit into.
    static func level(for size: UInt64) -> Int {
        let limits = CompactionLimits()
        let deepest = ManifestFormat.levelCount - 1
        return (1..<deepest).first { limits.target($0) >= size } ?? deepest
    }
}
