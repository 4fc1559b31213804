import Foundation
import Testing

/// The contract of the benchmarks of replication.
@Suite(.serialized) struct ReplicaTests {
    private let scratch: ScratchDirectory

    init() throws { scratch = try ScratchDirectory() }

    private func run(_ arguments: String...) throws -> Bench {
        try Bench(arguments + ["--format", "json"], temporary: scratch)
    }

    /// Whether certificates can be made here.
    private static var hasOpenSSL: Bool {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        return path.split(separator: ":").contains { directory in
            FileManager.default.isExecutableFile(atPath: "\(directory)/openssl")
        }
    }

    @Test func everyRequirementHasARowAndIsComparedWithAStoreThatNobodyFollows() throws {
        let bench = try run(
            "--benchmarks",
            "replica-acks",
            "--num",
            "2000",
            "--tasks",
            "2",
            "--followers",
            "2"
        )

        #expect(bench.status == 0, "\(bench.errors)")
        let settings = try #require(try bench.lines().first?["settings"] as? [String: Any])
        #expect(settings["followers"] as? Int == 2)
        let rows = try bench.rows()
        let points = ["received", "wal", "disk", "applied"]
        var names =
            ["none"] + points.map { "1@\($0)" } + points.map { "all@\($0)" }
            + ["mixed"]
        if Self.hasOpenSSL { names.append("1@wal+tls") }
        #expect(rows.dropLast().map { $0["replicas"] as? String } == ["alone"] + names)
        for row in rows.dropLast() {
            #expect(row["benchmark"] as? String == "replica-acks")
            #expect(row["operations"] as? Int == 40 && row["tasks"] as? Int == 2)
            #expect(row["ack"] as? String == "wal")
        }
        let comparison = try #require(rows.last)
        #expect(
            Set(comparison.keys) == ["benchmark", "ack", "tasks", "followers", "addedMicroseconds"]
        )
        let added = try #require(comparison["addedMicroseconds"] as? [[String: Any]])
        #expect(added.map { $0["replicas"] as? String } == names)
        #expect(added.allSatisfy { $0["p50"] is Double && $0["p99"] is Double })
        #expect(try scratch.names().isEmpty)
    }

    @Test func oneFollowerHasNoRowForTwo() throws {
        let bench = try run(
            "--benchmarks",
            "replica-acks",
            "--num",
            "300",
            "--ack",
            "disk",
            "--followers",
            "1"
        )

        #expect(bench.status == 0, "\(bench.errors)")
        let names = try bench.rows().compactMap { $0["replicas"] as? String }
        #expect(
            names.filter { !$0.hasSuffix("tls") }
                == ["alone", "none", "1@received", "1@wal", "1@disk", "1@applied", "mixed"]
        )
    }

    @Test func theLagOfFollowersIsMeasuredBesideWriters() throws {
        let bench = try run(
            "--benchmarks",
            "replica-lag",
            "--num",
            "3000",
            "--followers",
            "2",
            "--tasks",
            "3"
        )

        #expect(bench.status == 0, "\(bench.errors)")
        let rows = try bench.rows()
        #expect(
            rows.map { $0["benchmark"] as? String } == [
                "replica-lag", "replica-age", "replica-lag-behind",
            ]
        )
        #expect(rows[0]["operations"] as? Int == 9000)
        #expect(rows[1]["operations"] as? Int ?? 0 > 0)
        let members: Set = [
            "benchmark", "ack", "tasks", "followers", "sequencesP50", "sequencesP99",
            "sequencesMax", "settlingMilliseconds",
        ]
        #expect(Set(rows[2].keys) == members)
    }

    @Test func aFollowerThatWasAwayAndANewOneGetEverything() throws {
        let bench = try run("--benchmarks", "replica-catchup,replica-copy", "--num", "4000")

        #expect(bench.status == 0, "\(bench.errors)")
        let rows = try bench.rows()
        #expect(rows.map { $0["benchmark"] as? String } == ["replica-catchup", "replica-copy"])
        #expect(rows.allSatisfy { $0["operations"] as? Int == 4000 && $0["ack"] == nil })
        #expect(rows.allSatisfy { $0["bytesPerSecond"] as? Double ?? 0 > 0 })
    }

    @Test(arguments: ["0", "17"]) func moreFollowersThanCanBeAreRefused(_ count: String) throws {
        let bench = try run("--benchmarks", "replica-acks", "--followers", count)

        #expect(bench.status == 1)
        #expect(bench.errors.hasPrefix("error: "))
    }
}
