import Glibc

/// What the command line asks for: `--seeds A..<B`, `--seconds S`, `--operations N`, `--json FILE`
/// to add the counts to what a file holds, and `--trace yes` to print what happens.
struct Arguments {
    var seeds: Range<UInt64> = 0..<1_000
    var seconds: UInt64 = .max
    var operations = 500
    var isTraced = false
    /// Where counts are added to.
    var json: String?

    init(_ words: [String]) {
        var words = words.dropFirst()
        while let flag = words.popFirst() {
            guard let value = words.popFirst(), set(flag, value) else {
                print(
                    "usage: replicationsim [--seeds A..<B] [--seconds S] [--operations N] "
                        + "[--json FILE] [--trace yes]"
                )
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
        case "--seconds": return UInt64(value).map { seconds = $0 } != nil
        case "--operations": return Int(value).map { operations = $0 } != nil
        case "--json": json = value
        case "--trace": isTraced = value == "yes"
        default: return false
        }
        return true
    }
}
