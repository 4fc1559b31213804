import Testing

/// The contract of the benchmarks that read and write.
struct MixedTests {
    private let scratch: ScratchDirectory

    init() throws { scratch = try ScratchDirectory() }

    private func run(_ arguments: String...) throws -> Bench {
        try Bench(arguments + ["--format", "json"], temporary: scratch)
    }

    private static let reads: Set = [
        "benchmark", "threads", "operations", "seconds", "operationsPerSecond", "bytesPerSecond",
        "latencyMicroseconds", "found",
    ]
    private static let writes: Set = [
        "ack", "walBytesRaw", "walBytesStored", "syncs", "flushedBytes", "compactedBytes",
        "writeAmplification",
    ]

    @Test(arguments: ["ycsb-a", "ycsb-b", "ycsb-d", "ycsb-e", "ycsb-f"])
    func aMixedRowHasTheMembersOfReadsAndOfWrites(_ name: String) throws {
        let bench = try run("--benchmarks", name, "--num", "300", "--reads", "1000")

        #expect(bench.status == 0, "\(bench.errors)")
        let row = try #require(try bench.rows().first)
        #expect(Set(row.keys) == Self.reads.union(Self.writes))
        #expect(row["benchmark"] as? String == name)
        #expect(row["operations"] as? Int == 1000)
        #expect(row["walBytesRaw"] as? Int ?? 0 > 0)
    }

    @Test func aMixThatOnlyReadsHasNoAckPoint() throws {
        let bench = try run("--benchmarks", "ycsb-c", "--num", "300", "--reads", "1000")

        #expect(bench.status == 0, "\(bench.errors)")
        let row = try #require(try bench.rows().first)
        #expect(Set(row.keys) == Self.reads)
        #expect(row["found"] as? Int == 1000)
    }

    /// An update and an insert look for nothing; a read-modify-write does.
    @Test(arguments: [
        ("ycsb-a", 900...1100), ("ycsb-b", 1850...1950), ("ycsb-d", 1850...1950),
        ("ycsb-e", 1850...1950), ("ycsb-f", 2000...2000),
    ])
    func readsHaveTheirShare(_ name: String, _ found: ClosedRange<Int>) throws {
        let bench = try run("--benchmarks", name, "--num", "300", "--reads", "2000")

        let row = try #require(try bench.rows().first)
        #expect(found.contains(row["found"] as? Int ?? 0))
    }

    @Test func insertsGoOnWhereTheRowBeforeEnded() throws {
        let bench = try run(
            "--benchmarks",
            "ycsb-d,ycsb-e,readseq",
            "--num",
            "100",
            "--reads",
            "2000",
            "--threads",
            "2"
        )

        #expect(bench.status == 0, "\(bench.errors)")
        let rows = try bench.rows()
        let inserted = rows.dropLast().reduce(0) { sum, row in
            sum + (row["operations"] as? Int ?? 0) - (row["found"] as? Int ?? 0)
        }
        #expect(inserted > 0)
        // Each of two threads reads all.
        #expect(rows.last?["found"] as? Int == 2 * (100 + inserted))
    }

    @Test func aSeedRepeatsAMix() throws {
        let rows = try (0..<2).map { _ in
            try #require(
                try run("--benchmarks", "ycsb-a", "--num", "300", "--seed", "5").rows().first
            )
        }

        #expect(rows[0]["found"] as? Int == rows[1]["found"] as? Int)
        #expect(rows[0]["walBytesRaw"] as? Int == rows[1]["walBytesRaw"] as? Int)
    }

    @Test func tasksRunAMix() throws {
        let bench = try run("--benchmarks", "ycsb-d,ycsb-f", "--num", "300", "--tasks", "3")

        #expect(bench.status == 0, "\(bench.errors)")
        #expect(try bench.rows().map { $0["operations"] as? Int } == [900, 900])
    }

    @Test(arguments: ["--threads", "--tasks"])
    func readersAreCountedBesideOneWriter(_ workers: String) throws {
        let bench = try run(
            "--benchmarks",
            "readwhilewriting",
            "--num",
            "300",
            "--reads",
            "500",
            workers,
            "2"
        )

        #expect(bench.status == 0, "\(bench.errors)")
        let row = try #require(try bench.rows().first)
        let members = Self.reads.union(Self.writes).union(["writesPerSecond", "tasks"])
        #expect(Set(row.keys).union(["threads", "tasks"]) == members)
        #expect(row["operations"] as? Int == 1000)
        #expect(row["found"] as? Int == 1000)
        #expect(row["writesPerSecond"] as? Double ?? 0 > 0)
    }

    @Test func theWriterKeepsToItsRate() throws {
        let bench = try run(
            "--benchmarks",
            "readwhilewriting",
            "--num",
            "300",
            "--duration",
            "0.2",
            "--write-rate",
            "500"
        )

        #expect(bench.status == 0, "\(bench.errors)")
        let settings = try #require(try bench.lines().first?["settings"] as? [String: Any])
        #expect(settings["writeRate"] as? Double == 500)
        // One more than the rate, as the first is meant to start at once.
        let row = try #require(try bench.rows().first)
        #expect(row["writesPerSecond"] as? Double ?? .infinity <= 500 + 1 / 0.2)
    }

    @Test func aSlowWriterDoesNotHoldUpTheEnd() throws {
        let bench = try run(
            "--benchmarks",
            "readwhilewriting",
            "--num",
            "300",
            "--write-rate",
            "0.0001"
        )

        #expect(bench.status == 0, "\(bench.errors)")
        #expect(try bench.rows().count == 1)
    }

    @Test(arguments: [
        ["--benchmarks", "ycsb-d", "--num", "10", "--reads", "1000", "--key-size", "1"],
        ["--benchmarks", "readwhilewriting", "--write-rate", "0"],
    ])
    func whatIsNotPossibleExitsWith1(_ arguments: [String]) throws {
        let bench = try Bench(arguments, temporary: scratch)

        #expect(bench.status == 1)
        #expect(bench.errors.hasPrefix("error: "))
        #expect(try scratch.names().isEmpty)
    }

    @Test func helpOffersWhatIsPossible() throws {
        let bench = try Bench(["--help"], temporary: scratch)

        for name in ["readwhilewriting", "ycsb-f", "compact"] {
            #expect(bench.output.contains(name))
        }
    }

    @Test(arguments: ["--threads", "--tasks"])
    func aCompactionIsOneOperationHoweverLongTheRow(_ workers: String) throws {
        let bench = try run(
            "--benchmarks",
            "compact,readseq",
            "--num",
            "300",
            "--duration",
            "0.1",
            workers,
            "1"
        )

        #expect(bench.status == 0, "\(bench.errors)")
        let rows = try bench.rows()
        let members = Self.reads.subtracting(["found"]).union(["tasks"])
        #expect(Set(rows[0].keys).union(["threads", "tasks"]) == members)
        #expect(rows[0]["operations"] as? Int == 1)
        #expect(rows[1]["found"] as? Int == 300)
    }
}
