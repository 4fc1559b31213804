import Glibc

/// What the command line asks for: `--seeds A..<B`, `--seconds S`, `--operations N`, or
/// `--scale N --directory DIR`.
struct Arguments {
    var seeds: Range<UInt64> = 0..<300
    var seconds: UInt64 = 240
    var operations = 400
    /// How many puts the run on a real disk makes instead, and in which directory.
    var scale: Int?
    var directory: String?
    /// How many writes consumers get instead, or how often they are killed; or the directory of
    /// the process that is.
    var feed: UInt64?
    var feedKill: Int?
    var feedChild: String?

    init(_ words: [String]) {
        var words = words.dropFirst()
        while let flag = words.popFirst() {
            guard let value = words.popFirst(), set(flag, value) else {
                print("usage: enginesim [--seeds A..<B] [--seconds S] [--operations N]")
                print("       enginesim --scale N --directory DIR")
                print("       enginesim --feed N --directory DIR")
                print("       enginesim --feed-kill N --directory DIR")
                exit(1)
            }
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
        case "--seconds": return UInt64(value).map { seconds = $0 } != nil
        case "--operations": return Int(value).map { operations = $0 } != nil
        default: return false
        }
        return true
    }
}
