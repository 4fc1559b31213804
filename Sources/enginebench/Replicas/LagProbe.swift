internal import Glibc
internal import Replication
internal import StorageEngine
internal import Synchronization

/// Looks, on a thread of its own, how long what the leader has takes to be readable everywhere.
///
/// Thread safety: one thread makes and stops it.
final class LagProbe: @unchecked Sendable {
    /// From a look at the leader's end to the moment when all followers had it, in nanoseconds.
    private(set) var ages = Latencies()
    /// How many sequences the slowest follower was behind at that look.
    private(set) var sequences = Latencies()
    private let leader: Engine
    private let followers: [Engine]
    private let isStopped = Atomic<Bool>(false)
    private var thread: WorkerThread?

    /// How long it sleeps between two looks, in microseconds.
    private static let pause: UInt32 = 50
    /// How long it sleeps between two samples, in microseconds.
    private static let interval: UInt32 = 2_000

    init(_ leader: Engine, _ followers: [Engine]) {
        self.leader = leader
        self.followers = followers
        thread = WorkerThread(name: "bench-lag") { [self] in
            while !isStopped.load(ordering: .relaxed) {
                sample()
                usleep(Self.interval)
            }
        }
    }

    private var least: UInt64 { followers.map(\.lastSequence).min() ?? 0 }

    private func sample() {
        let (start, end) = (Clock.now, leader.lastSequence)
        sequences.record(end - min(end, least))
        while least < end, !isStopped.load(ordering: .relaxed) { usleep(Self.pause) }
        ages.record(Clock.now - start)
    }

    func stop() {
        isStopped.store(true, ordering: .relaxed)
        thread?.join()
        thread = nil
    }
}
