/// What the operations of a mixed benchmark are, and on which keys.
struct Mix: Sendable {
    /// Which keys are read and updated.
    enum Distribution: Sendable {
        /// Zipfian, the frequent keys spread over all.
        case scrambled
        /// Zipfian, the newest keys most often.
        case latest
    }

    enum Read: Sendable {
        case lookup
        /// So many entries from a key on, each number of them as likely.
        case scan(ClosedRange<UInt64>)
    }

    enum Write: Sendable { case update, insert, readModifyWrite }

    let readPercent: UInt64
    var read = Read.lookup
    var write: Write?
    var distribution = Distribution.scrambled
}

extension Benchmark {
    /// The core workloads of Cooper et al., "Benchmarking cloud serving systems with YCSB", SoCC
    /// 2010; `nil` for benchmarks of another kind.
    var mix: Mix? {
        switch self {
        case .ycsbA: Mix(readPercent: 50, write: .update)
        case .ycsbB: Mix(readPercent: 95, write: .update)
        case .ycsbC: Mix(readPercent: 100)
        case .ycsbD: Mix(readPercent: 95, write: .insert, distribution: .latest)
        case .ycsbE: Mix(readPercent: 95, read: .scan(1...100), write: .insert)
        case .ycsbF: Mix(readPercent: 50, write: .readModifyWrite)
        default: nil
        }
    }
}
