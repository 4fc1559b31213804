internal import Synchronization

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

/// Counts durations in log-linear buckets: 16 to each power of two from 64 ns to 68 s, so that a
/// bucket's middle is at most 3.2 % off.
///
/// Thread safety: may be recorded to and read from any thread.
final class LatencyHistogram: @unchecked Sendable {
    private static let bucketCount = 480
    private static let shift: UInt64 = 6
    private let counts: UnsafeMutablePointer<Atomic<UInt64>>

    init() {
        counts = .allocate(capacity: Self.bucketCount)
        for index in 0..<Self.bucketCount { (counts + index).initialize(to: Atomic(0)) }
    }

    deinit {
        counts.deinitialize(count: Self.bucketCount)
        counts.deallocate()
    }

    func record(nanoseconds: UInt64) {
        counts[Self.bucket(nanoseconds)].add(1, ordering: .relaxed)
    }

    private static func bucket(_ nanoseconds: UInt64) -> Int {
        let value = nanoseconds >> shift
        guard value >= 16 else { return Int(value) }
        let exponent = 63 - value.leadingZeroBitCount
        let index = (exponent - 3) * 16 + Int((value >> UInt64(exponent - 4)) & 15)
        return min(index, bucketCount - 1)
    }

    /// The middle of a bucket, in nanoseconds.
    private static func middle(_ bucket: Int) -> UInt64 {
        guard bucket >= 16 else { return UInt64(bucket) << shift + 1 << (shift - 1) }
        let exponent = UInt64(bucket / 16 + 3)
        let width = UInt64(1) << (exponent - 4)
        return (UInt64(16 + bucket % 16) * width + width / 2) << shift
    }

    var snapshot: Latency {
        var total: UInt64 = 0
        var weighted = 0.0
        let values = (0..<Self.bucketCount).map { counts[$0].load(ordering: .relaxed) }
        for (bucket, count) in values.enumerated() where count > 0 {
            total += count
            weighted += Double(count) * Double(Self.middle(bucket))
        }
        func percentile(_ fraction: Double) -> UInt64 {
            let rank = UInt64((Double(total) * fraction).rounded(.up))
            var seen: UInt64 = 0
            for (bucket, count) in values.enumerated() where count > 0 {
                seen += count
                if seen >= rank { return Self.middle(bucket) }
            }
            return 0
        }
        return Latency(
            count: total,
            meanNanoseconds: total == 0 ? 0 : weighted / Double(total),
            p50Nanoseconds: percentile(0.5),
            p90Nanoseconds: percentile(0.9),
            p99Nanoseconds: percentile(0.99),
            p999Nanoseconds: percentile(0.999),
            p9999Nanoseconds: percentile(0.9999)
        )
    }
}
