internal import Histogram

/// Latencies in nanoseconds, from 1 ns to 60 s, exact to three digits.
struct Latencies: Sendable {
    private static let most: UInt64 = 60_000_000_000
    private var histogram = Histogram<UInt64>(
        lowestDiscernibleValue: 1,
        highestTrackableValue: most,
        numberOfSignificantValueDigits: .three
    )
    private var sum: UInt64 = 0
    private(set) var greatest: UInt64 = 0

    mutating func record(_ nanoseconds: UInt64) {
        histogram.record(min(max(1, nanoseconds), Self.most))
        sum &+= nanoseconds
        greatest = max(greatest, nanoseconds)
    }

    mutating func add(_ other: Latencies) {
        histogram.add(other.histogram)
        sum += other.sum
        greatest = max(greatest, other.greatest)
    }

    var count: UInt64 { histogram.totalCount }
    var mean: Double { count == 0 ? 0 : Double(sum) / Double(count) }

    func percentile(_ percent: Double) -> UInt64 {
        count == 0 ? 0 : min(greatest, histogram.valueAtPercentile(percent))
    }
}

/// What a worker did, or all of them together.
struct Tally: Sendable {
    var latencies = Latencies()
    var operations = 0
    var bytes = 0
    var found = 0
    /// From the start of the round to the end of its last operation, in nanoseconds; rounds add up.
    var elapsed: UInt64 = 0
    /// By the writer beside the workers; `nil` where there is none.
    var writesPerSecond: Double?

    var operationsPerSecond: Double {
        elapsed > 0 ? Double(operations) * 1e9 / Double(elapsed) : 0
    }

    mutating func record(_ step: Step, nanoseconds: UInt64) {
        latencies.record(nanoseconds)
        operations += step.operations
        bytes += step.bytes
        found += step.found
    }

    /// Takes in a worker of the same round.
    mutating func merge(_ other: Tally) {
        addCounts(of: other)
        elapsed = max(elapsed, other.elapsed)
    }

    /// Takes in another round.
    mutating func append(_ other: Tally) {
        addCounts(of: other)
        elapsed += other.elapsed
    }

    private mutating func addCounts(of other: Tally) {
        latencies.add(other.latencies)
        operations += other.operations
        bytes += other.bytes
        found += other.found
    }
}
