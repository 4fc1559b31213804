import Foundation
import Testing

/// The contract that scripts depend on: members, exit codes, and whose files are removed.
struct ContractTests {
    private let scratch: ScratchDirectory

    init() throws { scratch = try ScratchDirectory() }

    private func run(_ arguments: String...) throws -> Bench {
        try Bench(arguments, temporary: scratch)
    }

    private static let always: Set = [
        "benchmark", "threads", "operations", "seconds", "operationsPerSecond", "bytesPerSecond",
        "latencyMicroseconds",
    ]
    private static let latency: Set = ["mean", "p50", "p90", "p99", "p999", "p9999", "max"]
    private static let log: Set = [
        "ack", "walBytesRaw", "walBytesStored", "syncs", "flushedBytes", "compactedBytes",
        "writeAmplification",
    ]

    @Test(arguments: [
        "put", "fillseq", "fillrandom", "fillbatch", "fillsync", "overwrite", "deleterandom",
    ])
    func aWritingRowHasTheContractsMembers(_ name: String) throws {
        let bench = try run("--benchmarks", name, "--num", "300", "--format", "json")

        #expect(bench.status == 0, "\(bench.errors)")
        let row = try #require(try bench.rows().first)
        #expect(Set(row.keys) == Self.always.union(Self.log))
        #expect(row["benchmark"] as? String == name)
        #expect(row["ack"] as? String == (name == "fillsync" ? "disk" : "wal"))
        #expect(row["operations"] as? Int == (name == "fillsync" ? 1 : 300))
        let latency = try #require(row["latencyMicroseconds"] as? [String: Any])
        #expect(Set(latency.keys) == Self.latency)
        #expect(row["walBytesStored"] as? Int ?? 0 > 0)
    }

    @Test(arguments: ["readrandom", "readmissing", "readseq", "readreverse", "seekrandom"])
    func aReadingRowLoadsFirstAndHasNoAckPoint(_ name: String) throws {
        let bench = try run(
            "--benchmarks",
            name,
            "--num",
            "300",
            "--reads",
            "200",
            "--format",
            "json"
        )

        #expect(bench.status == 0, "\(bench.errors)")
        let rows = try bench.rows()
        #expect(rows.count == 1)
        let row = try #require(rows.first)
        #expect(Set(row.keys) == Self.always.union(["found"]))
        #expect(row["operations"] as? Int == 200)
        #expect(row["found"] as? Int == (name == "readmissing" ? 0 : 200))
    }

    @Test func withoutBenchmarksTheMatrixFollowsTheSyncProbe() throws {
        let bench = try run("--num", "300", "--duration", "0.02", "--format", "json")

        #expect(bench.status == 0, "\(bench.errors)")
        let rows = try bench.rows()
        let probe = try #require(rows.first)
        #expect(Set(probe.keys) == ["benchmark", "operations", "latencyMicroseconds"])
        #expect(probe["benchmark"] as? String == "syncprobe")
        #expect(probe["operations"] as? Int ?? 0 >= 1000)
        let kinds = rows.dropFirst().map { row in
            "\(row["benchmark"] ?? "") \(row["ack"] ?? "") \(row["threads"] ?? "")"
        }
        #expect(
            kinds == [
                "put memory 1", "put memory 8", "put wal 1", "put wal 8", "put disk 1",
                "put disk 8",
            ]
        )
    }

    @Test func settingsThatMatterComeFirst() throws {
        let bench = try run("--benchmarks", "fillseq", "--num", "10", "--format", "json")

        let settings = try #require(try bench.lines().first?["settings"] as? [String: Any])
        let expected: Set = [
            "version", "build", "kernel", "processors", "directory", "fileSystem",
            "syncIntervalMilliseconds", "memoryWindowBytes", "memoryDelayMilliseconds",
            "logFileSizeBytes", "num", "reads", "keySizeBytes", "valueSizeBytes", "valueSizes",
            "compressionRatio", "seed", "usesExistingDatabase", "cacheSizeBytes",
            "writeBufferSizeBytes",
        ]
        #expect(Set(settings.keys) == expected)
    }

    @Test func memoryOfTheEngineIsWhatTheFlagsSay() throws {
        let bench = try run(
            "--benchmarks",
            "fillseq,readrandom",
            "--num",
            "1000",
            "--cache-size",
            "1000000",
            "--write-buffer-size",
            "32768",
            "--format",
            "json"
        )

        #expect(bench.status == 0, "\(bench.errors)")
        let settings = try #require(try bench.lines().first?["settings"] as? [String: Any])
        #expect(settings["cacheSizeBytes"] as? Int == 1_000_000)
        #expect(settings["writeBufferSizeBytes"] as? Int == 32_768)
        #expect(try bench.rows().last?["found"] as? Int == 1000)
    }

    @Test func tasksAreNamedInPlaceOfThreads() throws {
        let bench = try run(
            "--benchmarks",
            "fillrandom,readrandom",
            "--tasks",
            "1,3",
            "--num",
            "100",
            "--format",
            "json"
        )

        #expect(bench.status == 0, "\(bench.errors)")
        let rows = try bench.rows()
        #expect(rows.map { $0["tasks"] as? Int } == [1, 3, 1, 3])
        #expect(rows.map { $0["operations"] as? Int } == [100, 300, 100, 300])
        #expect(rows.allSatisfy { $0["threads"] == nil })
    }

    @Test func syncProbeAndDurablePutsTakeTurns() throws {
        let bench = try run(
            "--benchmarks",
            "fillsync",
            "--sync-probe",
            "--num",
            "100",
            "--format",
            "json"
        )

        #expect(bench.status == 0, "\(bench.errors)")
        let rows = try bench.rows()
        #expect(rows.map { $0["operations"] as? Int } == [5000, 5000, nil])
        let comparison = try #require(rows.last)
        let members: Set = [
            "benchmark", "threads", "rounds", "operationsPerRound", "fillsyncP50Microseconds",
            "syncprobeP50Microseconds", "ratio",
        ]
        #expect(Set(comparison.keys) == members)
        #expect(comparison["benchmark"] as? String == "fillsync-vs-syncprobe")
    }

    @Test func anOpenLoopDoesNoMoreThanItsRate() throws {
        let bench = try run(
            "--benchmarks",
            "put",
            "--rate",
            "1000",
            "--duration",
            "0.2",
            "--threads",
            "2",
            "--num",
            "100",
            "--format",
            "json"
        )

        let row = try #require(try bench.rows().first)
        #expect(row["operations"] as? Int ?? .max <= 202)
    }

    @Test func aBatchCountsItsOperations() throws {
        let bench = try run(
            "--benchmarks",
            "fillbatch,deleterandom",
            "--batch-size",
            "25",
            "--num",
            "100",
            "--value-sizes",
            "zipf",
            "--format",
            "json"
        )

        #expect(bench.status == 0, "\(bench.errors)")
        #expect(try bench.rows().map { $0["operations"] as? Int } == [100, 100])
    }

    @Test(arguments: [
        ["--benchmarks", "fillnothing"], ["--ack", "tape"], ["--num", "0"], ["--threads", "0"],
        ["--benchmarks", "readseq", "--use-existing-db"], ["--key-size", "2"], ["--no-such-flag"],
        ["--benchmarks", "fillseq", "--use-existing-db", "--db", "x"],
        ["--cache-size=-1"], ["--write-buffer-size", "16383"],
    ])
    func aWrongCommandLineExitsWith1(_ arguments: [String]) throws {
        let bench = try Bench(arguments, temporary: scratch)

        #expect(bench.status == 1)
        #expect(bench.errors.hasPrefix("error: "))
        #expect(bench.output.isEmpty)
    }

    @Test func theReportNeedsNothingElse() throws {
        let path = scratch.path + "/report.html"
        let bench = try run(
            "--benchmarks",
            "fillseq,readrandom",
            "--num",
            "100",
            "--report",
            path
        )

        #expect(bench.status == 0, "\(bench.errors)")
        let page = try String(contentsOfFile: path, encoding: .utf8)
        #expect(page.contains("<svg") && page.contains("readrandom"))
        for link in ["<script", "http:", "https:", "@import", "src="] {
            #expect(!page.contains(link))
        }
    }
}

/// Whose files are removed.
struct DirectoryTests {
    private let scratch: ScratchDirectory

    init() throws { scratch = try ScratchDirectory() }

    private func run(_ arguments: String...) throws -> Bench {
        try Bench(arguments + ["--num", "100", "--format", "json"], temporary: scratch)
    }

    private func makeForeignDirectory() throws -> String {
        let path = scratch.path + "/foreign"
        try FileManager.default.createDirectory(
            atPath: path,
            withIntermediateDirectories: true
        )
        try Data("precious".utf8).write(to: URL(fileURLWithPath: path + "/file"))
        return path
    }

    @Test func theTemporaryDatabaseIsRemoved() throws {
        let bench = try run("--benchmarks", "fillseq,readrandom", "--sync-probe")

        #expect(bench.status == 0, "\(bench.errors)")
        #expect(try scratch.names().isEmpty)
    }

    @Test(arguments: ["fillseq", "put", "readrandom", "overwrite"])
    func aDirectoryWithoutTheMarkerIsRefused(_ name: String) throws {
        let path = try makeForeignDirectory()

        let bench = try run("--benchmarks", name, "--db", path)

        #expect(bench.status == 1)
        #expect(bench.errors.hasPrefix("error: "))
        #expect(try scratch.names(in: "foreign") == ["file"])
    }

    @Test func aMarkedDirectoryIsEmptiedAndUsedAgain() throws {
        let path = scratch.path + "/marked"
        let first = try run("--benchmarks", "fillseq", "--db", path)
        try Data().write(to: URL(fileURLWithPath: path + "/left-over"))

        let second = try run("--benchmarks", "fillseq", "--db", path)

        #expect(first.status == 0 && second.status == 0, "\(second.errors)")
        #expect(try !scratch.names(in: "marked").contains("left-over"))
        #expect(try scratch.names(in: "marked").contains("ENGINEBENCH"))
    }

    @Test func anExistingDatabaseIsReadAsItIs() throws {
        let path = scratch.path + "/kept"
        let fill = try run("--benchmarks", "fillseq", "--db", path)

        let read = try run("--benchmarks", "readrandom", "--db", path, "--use-existing-db")

        #expect(fill.status == 0 && read.status == 0, "\(read.errors)")
        #expect(try read.rows().first?["found"] as? Int == 100)
    }

    @Test func aDatabaseThatIsNotThereIsNotMade() throws {
        let path = scratch.path + "/absent"

        let bench = try run("--benchmarks", "readrandom", "--db", path, "--use-existing-db")

        #expect(bench.status != 0)
        #expect(try scratch.names().isEmpty)
    }
}
