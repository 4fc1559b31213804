/// SplitMix64: small, fast, and the same numbers for the same seed everywhere.
struct SplitMix64: Sendable {
    private var state: UInt64

    /// A generator of its own for each worker of a seed.
    init(seed: UInt64, worker: Int) {
        state = seed
        state = next() &+ UInt64(truncatingIfNeeded: worker)
        state = next()
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// A number from 0 to just below 1.
    mutating func nextFraction() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// A number below a bound, each about as likely.
    mutating func next(below bound: UInt64) -> UInt64 { next().multipliedFullWidth(by: bound).high }
}
