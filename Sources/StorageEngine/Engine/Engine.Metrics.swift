internal import Synchronization

extension Engine {
    /// Latencies of one kind of call, since the engine was opened; each figure is at most 3.2 % off.
    public struct Latency: Sendable, Hashable {
        /// How many calls there were.
        public let count: UInt64
        /// The mean, in nanoseconds.
        public let meanNanoseconds: Double
        /// Percentiles, in nanoseconds.
        public let p50Nanoseconds, p90Nanoseconds, p99Nanoseconds: UInt64
        /// Percentiles 99.9 and 99.99, in nanoseconds.
        public let p999Nanoseconds, p9999Nanoseconds: UInt64
    }

    /// Counts and gauges of an engine, since it was opened unless said otherwise.
    public struct Metrics: Sendable, Hashable {
        /// Latency of writes by the ack point they waited for.
        public internal(set) var writes: [AckPoint: Latency] = [:]
        /// Latency of fdatasync on log files.
        public internal(set) var sync: Latency
        /// How long `.wal` writers were held while log files changed.
        public internal(set) var rotation: Latency
        /// Bytes of records before compression, and of frames as written, in the log.
        public internal(set) var walBytesRaw, walBytesStored: UInt64
        /// Frames and log files written.
        public internal(set) var frames, rotations: UInt64
        /// Syncs of log files.
        public internal(set) var syncs: UInt64
        /// Bytes that wait for the log now.
        public internal(set) var bufferedBytes: Int
        /// The last sequence given, and those that reached the log and the disk.
        public internal(set) var lastSequence, walSequence, diskSequence: UInt64
        /// Memory that the index took from the system, in bytes.
        public internal(set) var indexBytes: Int
        /// Keys in the index, deleted ones included, and versions linked to them.
        public internal(set) var indexKeys, indexVersions: Int
        /// Open snapshots and cursors.
        public internal(set) var snapshots: Int
        /// Why writes are refused until the store is reopened; `nil` when they are not.
        public internal(set) var poison: EngineError?
    }
}

/// Collects what ``Engine/Metrics`` reports.
///
/// Thread safety: every method may be called from any thread.
final class MetricsRecorder: Sendable {
    private let memoryWrites = LatencyHistogram()
    private let walWrites = LatencyHistogram()
    private let diskWrites = LatencyHistogram()
    let syncs = LatencyHistogram()
    let rotations = LatencyHistogram()
    let frames = Atomic<UInt64>(0)
    let rawBytes = Atomic<UInt64>(0)
    let storedBytes = Atomic<UInt64>(0)

    func writes(_ ack: AckPoint) -> LatencyHistogram {
        switch ack {
        case .memory: memoryWrites
        case .wal: walWrites
        case .disk: diskWrites
        }
    }

    func noteSync(nanoseconds: UInt64) { syncs.record(nanoseconds: nanoseconds) }
    func noteRotation(nanoseconds: UInt64) { rotations.record(nanoseconds: nanoseconds) }

    /// Takes over the writer's counts; called by the holder of the append role.
    func noteLog(_ writer: LogWriter) {
        frames.store(writer.frameCount, ordering: .relaxed)
        rawBytes.store(writer.rawBytes, ordering: .relaxed)
        storedBytes.store(writer.storedBytes, ordering: .relaxed)
    }
}
