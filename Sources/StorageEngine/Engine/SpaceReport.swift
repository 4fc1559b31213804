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
        _ history: History,
        _ pins: Pins
    ) {
        let infos = version.segments.map(\.info)
        let live = Set(infos.map(\.number))
        logFiles = files.logs.count
        logBytes = files.logs.values.reduce(0) { $0 + $1.size }
        unflushedLogBytes = files.unflushedLogBytes(history)
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
    /// How far the history goes.
    struct History {
        /// The last sequence that is in a segment, as all before it, and the last one of all.
        let flushedSequence: UInt64
        let lastSequence: UInt64
        /// The log file that is written, and up to where; `nil` when none is.
        let logEnd: LogLength?
    }

    /// The files of a store and their sizes.
    struct Files {
        /// `lastBefore`: the last sequence before a log file; `nil` for one that is not begun.
        var logs: [UInt64: (size: UInt64, lastBefore: UInt64?)] = [:]
        var segments: [UInt64: UInt64] = [:]
        let freeBytes: UInt64

        init(_ directory: StoreDirectory) throws(EngineError) {
            for name in try directory.list().known {
                // A file may vanish meanwhile.
                switch name {
                case .log(let number):
                    guard let file = try directory.openIfPresent(name, for: .read) else { continue }
                    logs[number] = (try file.size(), try Self.lastBefore(file))
                case .segment(let number):
                    segments[number] = try directory.openIfPresent(name, for: .read)?.size() ?? 0
                default: continue
                }
            }
            freeBytes = try directory.freeSpace()
        }

        private static func lastBefore(_ file: StoreFile) throws(EngineError) -> UInt64? {
            let bytes = try file.read(count: LogFormat.headerSize, at: 0)
            do throws(EngineError) {
                return try bytes.span.withUnsafeBytes { bytes throws(EngineError) in
                    try LogFileHeader(decoding: bytes, file: file.name).predecessor.lastSequence
                }
            } catch {
                return nil
            }
        }

        /// A log file ends where the next one begins.
        func unflushedLogBytes(_ history: History) -> UInt64 {
            var bytes: UInt64 = 0
            for (number, log) in logs where log.lastBefore != nil {
                let last = logs[number + 1]?.lastBefore ?? history.lastSequence
                guard last > history.flushedSequence else { continue }
                let isWritten = history.logEnd?.fileNumber == number
                bytes += isWritten ? min(history.logEnd?.length ?? 0, log.size) : log.size
            }
            return bytes
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
