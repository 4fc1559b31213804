internal import Glibc

/// Draws ranks below a count, rank r with a probability in proportion to 1 / (r + 1)^0.99.
///
/// The method is that of Gray et al., "Quickly generating billion-record synthetic databases",
/// SIGMOD 1994, as YCSB has it: ranks 0 and 1 are exact, the others follow a power of a uniform
/// number. It needs zeta, the sum of all weights, which is summed once and then only added to.
struct Zipfian: Sendable {
    private static let theta = 0.99

    private(set) var count: UInt64
    /// The sum of the weights of all ranks.
    private(set) var zeta: Double
    private let secondWeight = pow(0.5, theta)
    private var eta = 0.0

    init(count: UInt64) { self.init(count: count, zeta: Self.weight(of: 0..<count, on: 0)) }

    /// For a count whose sum of weights is known.
    init(count: UInt64, zeta: Double) {
        self.count = count
        self.zeta = zeta
        updateEta()
    }

    /// Takes in ranks up to a higher count; the cost is that of the new ones.
    mutating func grow(to count: UInt64) {
        guard count > self.count else { return }
        zeta = Self.weight(of: self.count..<count, on: zeta)
        self.count = count
        updateEta()
    }

    func next(_ random: inout SplitMix64) -> UInt64 {
        let uniform = random.nextFraction()
        let scaled = uniform * zeta
        if scaled < 1 { return 0 }
        if scaled < 1 + secondWeight { return 1 }
        let place = pow(eta * uniform - eta + 1, 1 / (1 - Self.theta))
        return min(count - 1, UInt64(Double(count) * place))
    }

    private mutating func updateEta() {
        let share = (1 + secondWeight) / zeta
        eta = (1 - pow(2 / Double(count), 1 - Self.theta)) / (1 - share)
    }

    /// The weights of some ranks, added to a sum one by one.
    private static func weight(of ranks: Range<UInt64>, on sum: Double) -> Double {
        var sum = sum
        for rank in ranks { sum += pow(Double(rank + 1), -theta) }
        return sum
    }
}

/// Chooses numbers of keys, some far more often than others.
struct KeyChooser: Sendable {
    private let distribution: Mix.Distribution
    private var zipfian: Zipfian

    init(_ distribution: Mix.Distribution, count: UInt64) {
        self.distribution = distribution
        zipfian =
            switch distribution {
            case .scrambled: Self.universe
            case .latest: Zipfian(count: count)
            }
    }

    /// YCSB's ranks before scrambling: so many that the shares of the most frequent ones are the
    /// same for every number of keys.
    private static let universe = Zipfian(count: 10_000_000_000, zeta: 26.469_028_201_783_02)

    /// The number of a key, below a count.
    mutating func next(below count: UInt64, _ random: inout SplitMix64) -> UInt64 {
        switch distribution {
        case .scrambled: return Self.hash(zipfian.next(&random)) % count
        case .latest:
            zipfian.grow(to: count)
            return count - 1 - min(count - 1, zipfian.next(&random))
        }
    }

    /// YCSB's: FNV-1a, 64 bits, of the number's eight bytes, without its sign.
    static func hash(_ number: UInt64) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for shift in stride(from: UInt64(0), to: 64, by: 8) {
            hash = (hash ^ (number >> shift & 0xff)) &* 0x100_0000_01b3
        }
        return Int64(bitPattern: hash).magnitude
    }
}
