/// The segments of a store, opened as its manifest names them.
struct OpenedTree {
    private(set) var state: ManifestState
    let version: Version
    /// Above the number of every segment file that there is or was.
    let nextSegmentNumber: UInt64
    /// Segments that nothing needs. They are garbage once this opening has made an edit durable: of
    /// the one that the manifest ends with, and of STORE, nobody knows more than that the kernel
    /// has them. Until then the disk may hold an older version, which needs what the newer one has
    /// replaced.
    let leftovers: [FileName]

    /// Reads the manifest and opens every segment; nothing is changed.
    ///
    /// - Throws: ``EngineError`` with code `corruption` when a file is missing or another one,
    ///   `unsupportedFormat` or `io`.
    init(
        directory: StoreDirectory,
        mark: StoreMark,
        cache: BlockCache
    ) throws(EngineError) {
        state =
            mark.manifest == 0
            ? ManifestState()
            : try ManifestReader.read(
                directory: directory,
                number: mark.manifest,
                historyID: mark.historyID
            )
        var levels: [[Segment]] = []
        for level in state.levels {
            var segments: [Segment] = []
            for info in level {
                let segment = try Self.open(info, directory, mark.historyID, cache)
                segments.append(segment)
            }
            levels.append(segments)
        }
        version = Version(levels: levels)
        let live = Set(version.segments.map(\.info.number))
        var next = state.nextSegmentNumber
        var leftovers: [FileName] = []
        for name in try directory.list().known {
            switch name {
            case .segment(let number) where !live.contains(number):
                leftovers.append(name)
                next = max(next, number + 1)
            default: break
            }
        }
        nextSegmentNumber = next
        self.leftovers = leftovers
    }

    private static func open(
        _ info: SegmentInfo,
        _ directory: StoreDirectory,
        _ historyID: UniqueID,
        _ cache: BlockCache
    ) throws(EngineError) -> Segment {
        let name = FileName.segment(info.number)
        guard let file = try directory.openIfPresent(name, for: .read) else {
            throw .corruption(
                "opening the store: a segment that the manifest names is missing",
                file: name.description,
                offset: 0
            )
        }
        return try Segment(info, file: file, historyID: historyID, cache: cache)
    }

    /// What recovery of the log must know.
    var logStart: LogStart {
        LogStart(
            end: state.logStart,
            flushedSequence: state.flushed.sequence,
            epochs: state.epochs
        )
    }

    /// Forgets epochs that the log does not have (any more).
    mutating func keepEpochs(of table: [EpochEntry]) { state.keepEpochs(of: table) }
}
