import Glibc
import StorageEngineTestSupport

/// What the command line asks for.
struct Arguments {
    enum Leg {
        /// Seeds of a range.
        case seeds
        /// Every call of a small workload failing, once and for good.
        case errors
        /// Random overwrites on a real disk.
        case scale(Int, String)
    }

    static let usage = """
        usage: enginesim [--seeds A..<B] [--seconds S] [--operations N] [--samples N|all]
                         [--threads N] [--repeat-every N] [--json FILE] [--trace yes] [--hash yes]
               enginesim --errors STRIDE [--seeds A..<B] [--operations N] [--threads N]
                         [--json FILE]
               enginesim --scale N --directory DIR
               enginesim --feed N --directory DIR
               enginesim --feed-kill N --directory DIR
        """

    var seeds: Range<UInt64> = 0..<300
    /// No seed is begun after so many seconds, once there were 100.
    var seconds: UInt64 = 240
    var plan = SimulatedRun.Plan()
    var threads = 2
    /// One of so many seeds is run again, in a process of its own.
    var repeatEvery: UInt64 = 25
    /// Where counts are added to.
    var json: String?
    /// Whether a failure is told with the trace that led to it.
    var showsTrace = false
    /// Whether only the hash of each seed's trace is printed.
    var showsHash = false
    /// Every so many calls one is failed; `nil` for another leg.
    var errorStride: Int?
    var scale: Int?
    var directory: String?
    /// How many writes consumers get instead, or how often they are killed; or the directory of
    /// the process that is.
    var feed: UInt64?
    var feedKill: Int?
    var feedChild: String?

    var leg: Leg {
        if let scale, let directory { return .scale(scale, directory) }
        return errorStride == nil ? .seeds : .errors
    }

    init(_ words: [String]) {
        var words = words.dropFirst()
        while let flag = words.popFirst() {
            guard let value = words.popFirst(), set(flag, value) else {
                print(Self.usage)
                exit(1)
            }
        }
        guard scale == nil || directory != nil else {
            print(Self.usage)
            exit(1)
        }
    }

    private mutating func set(_ flag: String, _ value: String) -> Bool {
        switch flag {
        case "--seeds":
            let bounds = value.split(separator: "..<", omittingEmptySubsequences: false)
            guard bounds.count == 2, let first = UInt64(bounds[0]), let end = UInt64(bounds[1]),
                first < end
            else { return false }
            seeds = first..<end
        case "--scale":
            guard let count = Int(value), (1...4_000_000_000).contains(count) else { return false }
            scale = count
        case "--samples":
            guard value == "all" || Int(value) != nil else { return false }
            plan.samples = Int(value)
        case "--directory": directory = value
        case "--feed":
            guard let count = UInt64(value), (1_000_000...4_000_000_000).contains(count) else {
                return false
            }
            feed = count
        case "--feed-kill":
            guard let count = Int(value), count >= 1 else { return false }
            feedKill = count
        case "--feed-child": feedChild = value
        case "--json": json = value
        case "--trace": showsTrace = value == "yes"
        case "--hash": showsHash = value == "yes"
        case "--seconds": return UInt64(value).map { seconds = $0 } != nil
        default: return setCount(flag, value)
        }
        return true
    }

    /// Flags whose value is above zero.
    private mutating func setCount(_ flag: String, _ value: String) -> Bool {
        guard let count = Int(value), count > 0 else { return false }
        switch flag {
        case "--operations": plan.operations = count
        case "--threads": threads = count
        case "--repeat-every": repeatEvery = UInt64(count)
        case "--errors": errorStride = count
        default: return false
        }
        return true
    }
}
