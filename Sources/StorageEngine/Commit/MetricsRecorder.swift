internal import Synchronization

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
