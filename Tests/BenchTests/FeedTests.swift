import Foundation
import Testing

/// The contract of the benchmarks of the change feed.
struct FeedTests {
    private let scratch: ScratchDirectory

    init() throws { scratch = try ScratchDirectory() }

    private static let comparison: Set = [
        "benchmark", "ack", "rounds", "operationsPerRound", "fillseqOperationsPerSecond",
        "feedTailOperationsPerSecond", "slowdown", "fillseqP50Microseconds",
        "feedTailP50Microseconds", "records", "fileReads", "consumerMicrosecondsPerRecord",
        "memoryRecordsPerSecond",
    ]

    @Test(arguments: ["threads", "tasks"])
    func aLiveConsumerGetsEveryRecordAndIsComparedWithNone(_ workers: String) throws {
        let bench = try Bench(
            [
                "--benchmarks", "feed-tail", "--num", "200", "--\(workers)", "2", "--format",
                "json",
            ],
            temporary: scratch
        )

        #expect(bench.status == 0, "\(bench.errors)")
        let rows = try bench.rows()
        let names = rows.map { $0["benchmark"] as? String }
        #expect(
            names == [
                "fillseq", "feed-tail", "feed-latency", "feed-memory", "feed-tail-vs-fillseq",
            ]
        )
        #expect(rows[1]["operations"] as? Int == 5 * 2 * 200)
        #expect(rows[1][workers] as? Int == 2 && rows[1]["ack"] as? String == "wal")
        #expect(rows[2]["operations"] as? Int == 200)
        let latency = try #require(rows[2]["latencyMicroseconds"] as? [String: Any])
        #expect(latency["p50"] as? Double ?? 0 > 0)
        #expect(rows[3]["operations"] as? Int ?? 0 > 5000)
        let comparison = rows[4]
        #expect(Set(comparison.keys) == Self.comparison.union([workers]))
        #expect(comparison["rounds"] as? Int == 5)
        #expect(comparison["operationsPerRound"] as? Int == 400)
        #expect(comparison["records"] as? Int == 5 * 2 * 200)
        #expect(comparison["consumerMicrosecondsPerRecord"] as? Double ?? 0 > 0)
        #expect(comparison["memoryRecordsPerSecond"] as? Double ?? 0 > 0)
        #expect(comparison["fileReads"] as? Int != nil)
    }

    @Test func theWholeHistoryIsReadFromFilesByEachConsumer() throws {
        let bench = try Bench(
            [
                "--benchmarks", "fillseq,feed-catchup", "--num", "500", "--threads", "1,2",
                "--format", "json",
            ],
            temporary: scratch
        )

        #expect(bench.status == 0, "\(bench.errors)")
        let rows = try bench.rows()
        #expect(
            rows.map { $0["benchmark"] as? String } == [
                "fillseq", "fillseq", "feed-catchup", "feed-catchup",
            ]
        )
        // The second fillseq began anew, with two threads, and left 1,000 records.
        #expect(rows[2]["operations"] as? Int == 1000)
        #expect(rows[3]["operations"] as? Int == 2000)
        #expect(rows.suffix(2).allSatisfy { $0["ack"] == nil })
        #expect(rows.suffix(2).allSatisfy { $0["found"] as? Int == $0["operations"] as? Int })
        #expect(rows.suffix(2).allSatisfy { $0["bytesPerSecond"] as? Double ?? 0 > 0 })
    }

    @Test func aTextLineSaysWhatAConsumerCosts() throws {
        let bench = try Bench(
            ["--benchmarks", "feed-tail", "--num", "100", "--report", scratch.path + "/a.html"],
            temporary: scratch
        )

        #expect(bench.status == 0, "\(bench.errors)")
        let last = try #require(bench.output.split(separator: "\n").last)
        #expect(last.contains("slow-down") && last.contains("500 records consumed"))
        let page = try String(contentsOfFile: scratch.path + "/a.html", encoding: .utf8)
        #expect(page.contains("slow-down") && page.contains("feed-latency"))
    }
}
