import Glibc

/// What the command line asks for: `--seeds A..<B`, `--seconds S`, `--operations N`.
struct Arguments {
    var seeds: Range<UInt64> = 0..<300
    var seconds: UInt64 = 240
    var operations = 400

    init(_ words: [String]) {
        var words = words.dropFirst()
        while let flag = words.popFirst() {
            guard let value = words.popFirst(), set(flag, value) else {
                print("usage: enginesim [--seeds A..<B] [--seconds S] [--operations N]")
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
        default: return false
        }
        return true
    }
}
