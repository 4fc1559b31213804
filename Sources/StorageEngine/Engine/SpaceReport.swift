/// How much of the disk a store takes.
public struct SpaceReport: Sendable, Hashable {
    /// How many log files there are, one made ahead included.
    public let logFiles: Int
    /// Their sizes, reserved space included, in bytes.
    public let logBytes: UInt64
    /// What an unprivileged user may still write to the file system, in bytes.
    public let freeBytes: UInt64

    init(_ directory: StoreDirectory) throws(EngineError) {
        var bytes: UInt64 = 0
        let numbers = try directory.list().logNumbers
        for number in numbers {
            // A file made ahead may vanish meanwhile, when the engine closes.
            bytes += try directory.openIfPresent(.log(number), for: .read)?.size() ?? 0
        }
        logFiles = numbers.count
        logBytes = bytes
        freeBytes = try directory.freeSpace()
    }
}
