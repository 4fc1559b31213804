/// Writes a stream of entries as segments.
///
/// Thread safety: immutable; each call may run on any thread.
struct SegmentOutput: Sendable {
    let directory: StoreDirectory
    let historyID: UniqueID
    let cache: BlockCache?
    /// Where a segment ends, between two keys; `nil` for never.
    let cut: SegmentCut?
    var partitionKeyCount = SegmentFormat.partitionKeyCount
    /// Gives each segment its number.
    let nextNumber: @Sendable () -> UInt64
    /// Called now and then with the bytes written since; may wait, and throws to give up.
    let pace: @Sendable (Int) throws(EngineError) -> Void

    /// Writes the whole stream.
    ///
    /// - Returns: The segments, open, durable with their names, none for an empty stream.
    /// - Throws: ``EngineError``; what was written before is removed again, as far as possible.
    func write(_ stream: EntryStream) throws(EngineError) -> [Segment] {
        var segments: [Segment] = []
        do throws(EngineError) {
            try stream.advance()
            var start: [UInt8]? = []
            while let lower = start, stream.entry != nil || !stream.ranges.isEmpty {
                if let segment = try writeOne(stream, from: lower) { segments.append(segment) }
                // What comes next begins a segment; range tombstones are cut there.
                start = stream.entry.map { Array($0.key) }
            }
        } catch {
            remove(segments)
            throw error
        }
        return segments
    }

    /// Removes segments that no manifest names. What is left is removed at the next open.
    func remove(_ segments: [Segment]) {
        guard !segments.isEmpty else { return }
        do throws(EngineError) {
            try directory.durableRemove(segments.map { .segment($0.info.number) })
        } catch {}
    }

    /// Writes the entries up to where a segment ends, and the range tombstones from a key to there;
    /// `nil` when there are none.
    private func writeOne(
        _ stream: EntryStream,
        from lower: [UInt8]
    ) throws(EngineError) -> Segment? {
        if stream.entry == nil, stream.ranges.clipped(to: KeyRange(from: lower)).isEmpty {
            return nil
        }
        let number = nextNumber()
        var info = SegmentInfo(number: number)
        let file = try directory.durableCreate(.segment(number)) { file throws(EngineError) in
            info = try fill(file, number, stream, from: lower)
        }
        return try Segment(info, file: file, historyID: historyID, cache: cache)
    }

    private func fill(
        _ file: StoreFile,
        _ number: UInt64,
        _ stream: EntryStream,
        from lower: [UInt8]
    ) throws(EngineError) -> SegmentInfo {
        var writer = SegmentWriter(
            file: file,
            number: number,
            historyID: historyID,
            partitionKeyCount: partitionKeyCount
        )
        var unpaced = 0
        var cut = cut
        while let entry = stream.entry {
            if cut?.isDue(before: entry.key, behind: writer.lastKey, size: writer.size) == true {
                break
            }
            try writer.add(entry)
            unpaced += entry.key.count + entry.value.count
            if unpaced >= Self.paceDistance {
                try pace(unpaced)
                unpaced = 0
            }
            try stream.advance()
        }
        guard !stream.ranges.isEmpty else { return try writer.finish() }
        let range = KeyRange(from: lower, to: stream.entry.map { Array($0.key) })
        return try writer.finish(stream.ranges.clipped(to: range))
    }

    private static let paceDistance = 256 << 10
}

/// Where a segment of an output ends: between two keys, at about a size.
///
/// Where the next level has segments, one of theirs should begin there: from half the size on the
/// first such place is taken, and from one and a half times on any.
///
/// Thread safety: none; a value.
struct SegmentCut: Sendable {
    let size: UInt64
    /// Where the segments of the next level begin, ascending.
    let boundaries: [[UInt8]]
    /// The first boundary behind what is written; looked for when it may be of use.
    private var next: Int?

    init(size: UInt64, boundaries: [[UInt8]] = []) {
        self.size = size
        self.boundaries = boundaries
    }

    /// Whether the segment, which has some bytes up to a key, ends before another key.
    mutating func isDue(
        before key: UnsafeRawBufferPointer,
        behind last: UnsafeRawBufferPointer,
        size: UInt64
    ) -> Bool {
        guard size >= self.size / 2, !last.isEqual(to: key) else { return false }
        var index = next ?? boundaries.partition { $0.withUnsafeBytes { last.precedes($0) } }
        defer { next = index }
        guard index < boundaries.count else { return size >= self.size }
        if size >= self.size + self.size / 2 { return true }
        let start = index
        while index < boundaries.count,
            boundaries[index].withUnsafeBytes({ !key.precedes($0) })
        { index += 1 }
        return index > start
    }
}

extension Array {
    /// The first place from which on a condition holds, found by halving.
    func partition(_ holds: (Element) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if holds(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
