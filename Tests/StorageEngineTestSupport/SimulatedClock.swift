internal import StorageEngine

/// Time that passes only when a test says so.
///
/// Thread safety: every member may be used from any thread.
package final class SimulatedClock: TimeSource, @unchecked Sendable {
    private let lock = Lock()
    private var monotonic: UInt64
    private var wall: UInt64

    /// Starts at a monotonic time in nanoseconds and a wall time in milliseconds since 1970.
    package init(monotonic: UInt64 = 1_000_000_000, wall: UInt64 = 1_700_000_000_000) {
        self.monotonic = monotonic
        self.wall = wall * 1_000_000
    }

    package var monotonicNanoseconds: UInt64 { lock.with { monotonic } }
    package var wallMilliseconds: UInt64 { lock.with { wall / 1_000_000 } }

    /// Lets time pass, in nanoseconds.
    package func advance(by nanoseconds: UInt64) {
        lock.with {
            monotonic += nanoseconds
            wall += nanoseconds
        }
    }

    /// Sets the wall clock forward or back, as an operator or a time server does.
    package func jumpWall(by milliseconds: Int64) {
        lock.with { wall = UInt64(max(0, Int64(wall) + milliseconds * 1_000_000)) }
    }
}
