internal import CEngineSystem
internal import Glibc
internal import ToolSupport

/// The least that a durable write can cost: bytes written to a file reserved ahead, and synced.
///
/// Thread safety: one thread at a time.
final class SyncProbe: @unchecked Sendable {
    private static let fileSize: Int64 = 64 << 20
    /// The log's first frame begins here, too.
    private static let firstOffset: Int64 = 4096

    private let path: String
    private let descriptor: Int32
    private let frame: [UInt8]
    private var offset = firstOffset

    /// Makes the probe's file, and reserves its space.
    init(in directory: String, frameSize: Int, seed: UInt64) throws {
        var random = SplitMix64(seed: seed, worker: -2)
        frame = (0..<frameSize).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        path = "\(directory)/syncprobe.tmp"
        descriptor = unsafe open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw ToolError.system("making \(path)", errno: errno) }
        let code = csystem_allocate(descriptor, 0, Self.fileSize)
        guard code == 0 || code == EOPNOTSUPP else {
            throw ToolError.system("reserving space in \(path)", errno: code)
        }
        guard fsync(descriptor) == 0 else {
            throw ToolError.system("syncing \(path)", errno: errno)
        }
    }

    deinit {
        close(descriptor)
        unsafe unlink(path)
    }

    var frameSize: Int { frame.count }

    /// Writes and syncs so many times, on a thread of its own, as the puts it is compared with.
    func run(_ count: Int) throws -> Tally {
        try Crew.threads(1).run(Limit(operations: count, label: "syncprobe")) { _ in
            ProbeJob(probe: self)
        }
    }

    fileprivate func write() throws -> Step {
        if offset + Int64(frame.count) > Self.fileSize { offset = Self.firstOffset }
        let written = unsafe frame.withUnsafeBytes { bytes in
            unsafe pwrite(descriptor, bytes.baseAddress, bytes.count, Int(offset))
        }
        guard written == frame.count else {
            throw ToolError.system("writing \(path), offset \(offset)", errno: errno)
        }
        guard fdatasync(descriptor) == 0 else {
            throw ToolError.system("syncing \(path)", errno: errno)
        }
        offset += Int64(frame.count)
        return Step(operations: 1, bytes: frame.count)
    }
}

private struct ProbeJob: Job {
    let probe: SyncProbe

    mutating func step() throws -> Step { try probe.write() }
}
