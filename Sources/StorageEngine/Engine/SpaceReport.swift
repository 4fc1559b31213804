/// How much of the disk a store takes.
public struct SpaceReport: Sendable, Hashable {
    /// How many log files there are, one made ahead included.
    public let logFiles: Int
    /// Their sizes, reserved space included, in bytes.
    public let logBytes: UInt64
    /// How many segments are live.
    public let segmentFiles: Int
    /// Their sizes in bytes.
    public let segmentBytes: UInt64
    /// Bytes of segment files that are there and not live any more: they are about to be removed,
    /// or a cursor still reads them.
    public let deadBytes: UInt64
    /// What an unprivileged user may still write to the file system, in bytes.
    public let freeBytes: UInt64

    init(_ directory: StoreDirectory, _ version: Version) throws(EngineError) {
        var bytes: UInt64 = 0
        let numbers = try directory.list().logNumbers
        for number in numbers {
            // A file made ahead may vanish meanwhile, when the engine closes.
            bytes += try directory.openIfPresent(.log(number), for: .read)?.size() ?? 0
        }
        let segments = version.segments
        let live = Set(segments.map(\.info.number))
        var dead: UInt64 = 0
        for name in try directory.list().known {
            guard case .segment(let number) = name, !live.contains(number) else { continue }
            dead += try directory.openIfPresent(name, for: .read)?.size() ?? 0
        }
        segmentFiles = segments.count
        segmentBytes = segments.reduce(0) { $0 + $1.info.size }
        deadBytes = dead
        logFiles = numbers.count
        logBytes = bytes
        freeBytes = try directory.freeSpace()
    }
}
