/// Merges the segments of a choice into new ones of the next level.
struct Compactor {
    let choice: CompactionChoice
    /// The version the choice was made from.
    let version: Version
    /// The registered sequences: what they see is kept.
    let registered: [UInt64]
    let output: SegmentOutput

    /// What a compaction made.
    struct Result {
        var segments: [Segment] = []
        /// The greatest sequence of a tombstone that was dropped, 0 for none.
        var droppedTombstone: UInt64 = 0
        var readBytes: UInt64 = 0
    }

    /// Where the segments of the level behind the output begin.
    static func boundaries(of choice: CompactionChoice, _ version: Version) -> [[UInt8]] {
        let next = choice.outputLevel + 1
        return next < version.levels.count ? version.levels[next].map(\.info.smallest) : []
    }

    /// Runs the merge.
    ///
    /// - Throws: ``EngineError``; the inputs are as they were, and nothing new is left behind.
    func run() throws(EngineError) -> Result {
        let stream = CompactionStream(
            sources,
            deeper: Array(version.levels.dropFirst(choice.outputLevel + 1)),
            registered: registered
        )
        let segments = try output.write(stream)
        let written = segments.reduce(0) { $0 + $1.info.entryCount }
        let expected = choice.all.reduce(0) { $0 + $1.entryCount }
        // A reader that lost entries without noticing would lose them for good here.
        guard stream.readCount == expected, written + stream.droppedCount == expected else {
            output.remove(segments)
            throw .corruption(
                "compacting level \(choice.level): \(stream.readCount) entries were read and "
                    + "\(written) written, \(expected) are in the inputs and "
                    + "\(stream.droppedCount) were dropped",
                file: FileName.segment(choice.inputs[0].number).description,
                offset: 0
            )
        }
        return Result(
            segments: segments,
            droppedTombstone: stream.droppedTombstone,
            readBytes: choice.size
        )
    }

    /// What is merged: each segment of level 0 by itself, the others one behind the other.
    private var sources: [[Segment]] {
        let inputs = segments(choice.inputs, of: choice.level)
        let overlapped = segments(choice.overlapped, of: choice.outputLevel)
        let upper = choice.level == 0 ? inputs.map { [$0] } : [inputs]
        return (upper + [overlapped]).filter { !$0.isEmpty }
    }

    private func segments(_ infos: [SegmentInfo], of level: Int) -> [Segment] {
        guard level < version.levels.count else { return [] }
        let numbers = Set(infos.map(\.number))
        return version.levels[level].filter { numbers.contains($0.info.number) }
    }
}
