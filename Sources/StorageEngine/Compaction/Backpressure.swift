// How writers are kept from outrunning flushes and compactions: they are slowed smoothly, the more
// the nearer a limit is, and held only at the limit itself.
//
// Of each limit, load is how much of the way to it is used, from where slowing begins (0) to where
// writers are held (1). The greatest load decides. A written byte then costs a delay of
//
//   load² / (1 - load) / 8 MiB   seconds
//
// that is nothing at first, 16 MiB/s at half the way, 1 MiB/s at nine tenths.

/// What writers have to bear with.
struct Backpressure: Sendable, Hashable {
    /// From 0, nothing, to 1: writers are held.
    var load = 0.0
    /// Which limit is the nearest; `nil` while nobody is slowed.
    var reason: StallReason?

    var isHolding: Bool { load >= 1 }

    /// How long a number of written bytes must be waited for, in nanoseconds.
    func delay(bytes: Int) -> UInt64 {
        guard load > 0, load < 1 else { return 0 }
        let seconds = load * load / (1 - load) * Double(bytes) / Double(8 << 20)
        return UInt64(min(seconds, Self.delayMax) * 1_000_000_000)
    }

    /// No single delay is longer than this, in seconds.
    private static let delayMax = 0.03

    mutating func note(_ reason: StallReason, from start: Double, to end: Double, at value: Double)
    {
        let load = min(1, max(0, (value - start) / (end - start)))
        if load > self.load {
            self.load = load
            self.reason = reason
        }
    }
}
