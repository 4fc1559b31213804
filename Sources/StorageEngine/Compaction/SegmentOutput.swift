/// Writes a stream of entries as segments.
///
/// Thread safety: immutable; each call may run on any thread.
struct SegmentOutput: Sendable {
    let directory: StoreDirectory
    let historyID: UniqueID
    let cache: BlockCache?
    /// The size at which a segment ends, between two keys; `nil` for never.
    let segmentSize: UInt64?
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
        var writer = SegmentWriter(file: file, number: number, historyID: historyID)
        var unpaced = 0
        while let entry = stream.entry {
            if let segmentSize, writer.size >= segmentSize, !writer.lastKey.isEqual(to: entry.key) {
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
