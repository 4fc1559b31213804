/// How much of the disk a store takes, what of it is needed no more, and who keeps that.
public struct SpaceReport: Sendable, Hashable {
    /// How many log files there are, one made ahead included.
    public let logFiles: Int
    /// Their sizes, reserved space included, in bytes.
    public let logBytes: UInt64
    /// Bytes of log files with records that no segment holds yet, as far as they are written: an
    /// open after a crash reads them.
    public let unflushedLogBytes: UInt64
    /// How many segments are live.
    public let segmentFiles: Int
    /// Their sizes in bytes.
    public let segmentBytes: UInt64
    /// How many versions of keys are in them.
    public let versions: UInt64
    /// How many of those are tombstones, or have a newer version of their key in the same segment.
    public let deadVersions: UInt64
    /// Bytes of segment files that are there and not live any more: they are about to be removed.
    public let deadBytes: UInt64
    /// Bytes of segments that were replaced and are still open, so that their space is taken even
    /// where their files are removed; ``staleReaders`` keep them.
    public let pinnedBytes: UInt64
    /// Memory of indexes that were flushed and are kept by ``staleReaders``, in bytes.
    public let pinnedIndexBytes: Int
    /// The sequences that snapshots hold, the oldest first: what they see is not compacted away.
    public let heldSequences: [HeldSequence]
    /// Who still reads a state that was replaced: cursors that have not moved since, and calls that
    /// run. The longest first.
    public let staleReaders: [StaleReader]
    /// What an unprivileged user may still write to the file system, in bytes.
    public let freeBytes: UInt64

    /// A sequence that snapshots hold.
    public struct HeldSequence: Sendable, Hashable {
        /// The last write that they see.
        public let sequence: UInt64
        /// How many snapshots and cursors hold it.
        public let count: Int
        /// For how long it has been held.
        public let age: Duration
    }

    /// A state that was replaced and is still read.
    public struct StaleReader: Sendable, Hashable {
        /// How long ago it was replaced.
        public let age: Duration
        /// The segments that are in it and live no more; several readers may keep the same ones.
        public let segmentFiles: Int
        /// Their sizes in bytes.
        public let segmentBytes: UInt64
        /// Memory of indexes that are in it and were flushed, in bytes.
        public let indexBytes: Int
    }

    init(
        _ files: Files,
        _ version: Version,
        logInUse: (behind: UInt64, end: LogLength?),
        _ pins: Pins
    ) {
        let infos = version.segments.map(\.info)
        let live = Set(infos.map(\.number))
        logFiles = files.logs.count
        logBytes = files.logs.values.reduce(0, +)
        unflushedLogBytes = files.logs.reduce(0) { sum, file in
            guard file.key > logInUse.behind else { return sum }
            guard let end = logInUse.end, file.key >= end.fileNumber else {
                return sum + file.value
            }
            return sum + (file.key == end.fileNumber ? min(end.length, file.value) : 0)
        }
        segmentFiles = infos.count
        segmentBytes = infos.reduce(0) { $0 + $1.size }
        versions = infos.reduce(0) { $0 + $1.entryCount }
        deadVersions = infos.reduce(0) { $0 + $1.deadCount }
        deadBytes = files.segments.reduce(0) { $0 + (live.contains($1.key) ? 0 : $1.value) }
        pinnedBytes = pins.segmentBytes
        pinnedIndexBytes = pins.indexBytes
        heldSequences = pins.sequences
        staleReaders = pins.readers
        freeBytes = files.freeBytes
    }
}

extension SpaceReport {
    /// The files of a store and their sizes.
    struct Files {
        var logs: [UInt64: UInt64] = [:]
        var segments: [UInt64: UInt64] = [:]
        let freeBytes: UInt64

        init(_ directory: StoreDirectory) throws(EngineError) {
            for name in try directory.list().known {
                // A file may vanish meanwhile.
                switch name {
                case .log(let number):
                    logs[number] = try directory.openIfPresent(name, for: .read)?.size() ?? 0
                case .segment(let number):
                    segments[number] = try directory.openIfPresent(name, for: .read)?.size() ?? 0
                default: continue
                }
            }
            freeBytes = try directory.freeSpace()
        }
    }

    /// What readers keep.
    struct Pins {
        var sequences: [HeldSequence] = []
        var readers: [StaleReader] = []
        var segmentBytes: UInt64 = 0
        var indexBytes = 0

        init(_ readState: ReadState, now: UInt64) {
            sequences = readState.snapshots.holds.map { hold in
                HeldSequence(
                    sequence: hold.sequence,
                    count: hold.count,
                    age: .nanoseconds(Int64(clamping: now > hold.since ? now - hold.since : 0))
                )
            }
            let stale = readState.staleViews.sorted { $0.age > $1.age }
            let current = readState.view
            var seenSegments = Set(current.version.segments.map(\.info.number))
            var seenIndexes = Set(current.indexes.map { ObjectIdentifier($0) })
            let (liveSegments, liveIndexes) = (seenSegments, seenIndexes)
            for (view, age) in stale {
                let segments = view.version.segments.filter {
                    !liveSegments.contains($0.info.number)
                }
                let indexes = view.indexes.filter { !liveIndexes.contains(ObjectIdentifier($0)) }
                readers.append(
                    StaleReader(
                        age: .nanoseconds(Int64(clamping: age)),
                        segmentFiles: segments.count,
                        segmentBytes: segments.reduce(0) { $0 + $1.info.size },
                        indexBytes: indexes.reduce(0) { $0 + $1.byteCount }
                    )
                )
                for segment in segments where seenSegments.insert(segment.info.number).inserted {
                    segmentBytes += segment.info.size
                }
                for index in indexes where seenIndexes.insert(ObjectIdentifier(index)).inserted {
                    indexBytes += index.byteCount
                }
            }
        }
    }
}
