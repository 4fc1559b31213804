internal import Glibc

/// Measures the memory index beside a skip list.
@main struct Main {
    private var keyCount = 1_000_000
    private var rounds = 3
    private var packages: String?
    private var only: String?

    private static let usage = """
        usage: enginemicro [--keys COUNT] [--rounds COUNT] [--packages FILE] [--only SET]
          --keys      keys in each set (1000000)
          --rounds    rounds, of which the medians are printed (3)
          --packages  a file with a key a line, which are a set too
          --only      one set: random, sequential, binary, packages
        """

    static func main() {
        guard let main = Main(CommandLine.arguments.dropFirst()) else {
            fail(usage, code: 2)
        }
        main.run()
    }

    private init?(_ arguments: ArraySlice<String>) {
        var rest = arguments
        while let option = rest.popFirst() {
            guard let value = rest.popFirst() else { return nil }
            switch option {
            case "--keys":
                guard let count = Int(value), count > 0 else { return nil }
                keyCount = count
            case "--rounds":
                guard let count = Int(value), count > 0 else { return nil }
                rounds = count
            case "--packages": packages = value
            case "--only": only = value
            default: return nil
            }
        }
    }

    private func run() {
        print("nanoseconds an operation; overhead: bytes a key besides key and value")
        Self.printRow("keys", "count", "index", IndexBenchmark.columns)
        for name in ["random", "sequential", "binary", "packages"] where only ?? name == name {
            guard let benchmark = benchmark(name) else { continue }
            var radix: [[Double]] = []
            var skip: [[Double]] = []
            for _ in 0..<rounds {
                radix.append(benchmark.measure(MeasuredRadixTree.self))
                skip.append(benchmark.measure(MeasuredSkipList.self))
            }
            let count = String(benchmark.keys.count)
            Self.printRow(name, count, MeasuredRadixTree.name, Self.medians(radix))
            Self.printRow(name, count, MeasuredSkipList.name, Self.medians(skip))
        }
    }

    /// A set of keys, `nil` when it comes from a file that was not given.
    private func benchmark(_ name: String) -> IndexBenchmark? {
        var generator = Xorshift(seed: 1)
        let keys: KeySet
        switch name {
        case "random": keys = KeySet.decimal(keyCount).shuffled(&generator)
        case "sequential": keys = KeySet.decimal(keyCount)
        case "binary": keys = KeySet.binary(keyCount, &generator)
        default:
            guard let packages else { return nil }
            guard let lines = KeySet.lines(of: packages, count: keyCount) else {
                Self.fail("cannot read \(packages)", code: 1)
            }
            keys = lines
        }
        // As db_bench does it: a key with one more byte is missing.
        let misses =
            name == "binary"
            ? KeySet.binary(keyCount, &generator) : keys.shuffled(suffix: ".", &generator)
        return IndexBenchmark(
            name: name,
            keys: keys,
            hits: keys.shuffled(&generator),
            misses: misses
        )
    }

    private static func fail(_ message: String, code: Int32) -> Never {
        let line = Array((message + "\n").utf8)
        _ = write(STDERR_FILENO, line, line.count)
        exit(code)
    }

    private static func medians(_ rounds: [[Double]]) -> [String] {
        IndexBenchmark.columns.indices.map { column in
            let sorted = rounds.map { $0[column] }.sorted()
            return String(Int(sorted[sorted.count / 2].rounded()))
        }
    }

    private static func printRow(
        _ keys: String,
        _ count: String,
        _ index: String,
        _ cells: [String]
    ) {
        func pad(_ text: String, _ width: Int) -> String {
            String(repeating: " ", count: max(0, width - text.count)) + text
        }
        let columns = [pad(count, 8), pad(index, 6)] + cells.map { pad($0, 9) }
        print(keys + String(repeating: " ", count: max(0, 11 - keys.count)) + columns.joined())
    }
}
