internal import Glibc

/// Where time comes from; nothing in the engine reads a clock otherwise.
///
/// Thread safety: both properties may be read from any thread.
package protocol TimeSource: Sendable {
    /// Nanoseconds of a clock that never goes back, not even when the wall clock is set.
    var monotonicNanoseconds: UInt64 { get }
    /// Milliseconds since 1970; orders nothing, only stamps.
    var wallMilliseconds: UInt64 { get }
}

/// The system's clocks.
package struct SystemTime: TimeSource {
    package init() {}

    package var monotonicNanoseconds: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    package var wallMilliseconds: UInt64 {
        var time = timespec()
        // Stamps count milliseconds; the coarse clock is a few behind and costs a fifth.
        clock_gettime(CLOCK_REALTIME_COARSE, &time)
        return UInt64(max(time.tv_sec, 0)) * 1000 + UInt64(time.tv_nsec) / 1_000_000
    }
}
