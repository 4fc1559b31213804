import Foundation
import StorageEngine
import StorageEngineTestSupport
import Testing

@testable import enginedrill

/// Three nodes, each a process of its own, on loopback.
@Suite(.timeLimit(.minutes(5))) struct ReplicatedProcessTests {
    private let directory = TemporaryDirectory()

    private func cluster(_ settings: [String: String] = [:]) throws -> DrillCluster {
        let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        return try DrillCluster(
            count: 3,
            directory: directory.path,
            executable: own.deletingLastPathComponent().appending(path: "enginenode").path,
            settings: settings
        )
    }

    /// Followers ask the first node alone: one that another one feeds would miss that one for a
    /// while when it is killed.
    private static let star = ["ENGINENODE_FEEDERS": "\(UniqueID(high: 1, low: 0xd1))"]

    private func start(_ cluster: DrillCluster) async throws {
        try cluster.start(0, as: "leader", "--bootstrap")
        try cluster.start(1)
        try cluster.start(2)
        #expect(try await cluster.settle() == 0)
    }

    /// Puts values at a node; returns the position of the last one.
    private func put(
        _ values: ClosedRange<Int>,
        at index: Int,
        of cluster: DrillCluster,
        _ query: String,
        isLong: Bool = false
    ) async throws -> String {
        let client = try #require(cluster.client(index))
        var last = ""
        for number in values {
            let value = "value-\(number)" + (isLong ? Self.padding(number) : "")
            let answer = await client.put(value, for: "key-\(number)", query)
            guard case .done(let position) = answer else {
                Issue.record("\(number): \(answer)")
                return last
            }
            last = position
        }
        return last
    }

    /// Text that hardly shrinks in a log.
    private static func padding(_ number: Int) -> String {
        var numbers = DrillNumbers(seed: UInt64(number))
        return (0..<100).map { _ in String(numbers.next(below: 1_000_000), radix: 36) }.joined()
    }

    /// All nodes end cleanly, with the same in all stores.
    private func expectEqual(_ cluster: DrillCluster) async throws {
        try await cluster.catchUp()
        for index in cluster.ids.indices { #expect(cluster.terminate(index), "#\(index)") }
        #expect(try cluster.differences() == [])
    }

    private func contents(_ cluster: DrillCluster, _ index: Int) throws -> [String: String] {
        var options = Engine.Options()
        options.readOnly = true
        let engine = try Engine.open(at: cluster.storePath(of: index), options: options)
        var found: [String: String] = [:]
        var cursor = try engine.makeSnapshot().cursor()
        while try cursor.next() {
            found[text(cursor.key)] = text(cursor.value)
        }
        try engine.close()
        return found
    }

    private func text(_ bytes: Span<UInt8>) -> String {
        String(decoding: bytes.indices.map { bytes[$0] }, as: UTF8.self)
    }

    @Test func aFollowerThatWasKilledCatchesUp() async throws {
        let cluster = try cluster(Self.star)
        try await start(cluster)
        _ = try await put(1...20, at: 0, of: cluster, "followers=2&at=disk")

        cluster.kill(2)
        _ = try await put(21...60, at: 0, of: cluster, "followers=1&at=disk")
        try cluster.start(2)
        try await cluster.settle()
        let last = try await put(61...70, at: 0, of: cluster, "followers=all&at=applied")

        let reader = try #require(cluster.client(2))
        #expect(try await reader.value(for: "key-45", after: last) == "value-45")
        try await expectEqual(cluster)
        #expect(try contents(cluster, 2).count == 70)
        try cluster.end()
    }

    @Test func anotherOneLeadsAndTheKilledLeaderIsCutBack() async throws {
        let cluster = try cluster()
        try await start(cluster)
        _ = try await put(1...20, at: 0, of: cluster, "followers=1&at=disk")
        // What only the leader has: nobody was promised that it stays.
        try cluster.setLinks(of: 0, .cut)
        _ = try await put(1_001...1_010, at: 0, of: cluster, "ack=disk&followers=0")
        cluster.kill(0)

        let promoted = try #require(cluster.client(1))
        #expect(await promoted.promote())
        _ = try await put(21...40, at: 1, of: cluster, "followers=1&at=disk")
        try cluster.setLinks(of: 0, .open)
        try cluster.start(0, as: "leader")
        #expect(try await cluster.settle() == 1)
        _ = try await put(41...50, at: 1, of: cluster, "followers=all&at=disk")

        try await expectEqual(cluster)
        let keys = Set(try contents(cluster, 0).keys)
        #expect(keys == Set((1...50).map { "key-\($0)" }))
        let quarantine = try cluster.storePath(of: 0) + "/quarantine"
        let saved = try FileManager.default.contentsOfDirectory(atPath: quarantine)
        #expect(!saved.isEmpty, "what was cut is kept")
        try cluster.end()
    }

    @Test func aFollowerWithoutADirectoryTakesACopy() async throws {
        let small = [
            "ENGINENODE_ENGINE_LOG_FILE_SIZE": "16384",
            "ENGINENODE_ENGINE_WRITE_BUFFER_SIZE": "16384",
            "ENGINENODE_ENGINE_RETAINED_LOG_SIZE": "0",
        ]
        let cluster = try cluster(small.merging(Self.star) { $1 })
        try await start(cluster)
        _ = try await put(1...200, at: 0, of: cluster, "followers=2&at=wal", isLong: true)

        cluster.kill(2)
        try cluster.empty(2)
        _ = try await put(201...400, at: 0, of: cluster, "followers=1&at=wal", isLong: true)
        try cluster.start(2)
        try await cluster.settle()

        try await expectEqual(cluster)
        #expect(try cluster.noticeCount("copying(") > 0)
        #expect(try contents(cluster, 2).count == 400)
        try cluster.end()
    }

    @Test func aLeaderThatLostItsDirectoryBeginsNoSecondHistory() async throws {
        let cluster = try cluster()
        try await start(cluster)
        _ = try await put(1...20, at: 0, of: cluster, "followers=2&at=disk")

        cluster.kill(0)
        try cluster.empty(0)
        try cluster.start(0, as: "leader", "--bootstrap")
        while try cluster.noticeCount("member \(cluster.ids[1]) has a history")
            + cluster.noticeCount("member \(cluster.ids[2]) has a history") == 0
        {
            try await Task.sleep(for: .milliseconds(20))
        }
        let promoted = try #require(cluster.client(1))
        while await !promoted.promote() { try await Task.sleep(for: .milliseconds(100)) }
        #expect(try await cluster.settle() == 1)
        _ = try await put(21...30, at: 1, of: cluster, "followers=all&at=disk")

        try await expectEqual(cluster)
        #expect(try contents(cluster, 0).count == 30)
        try cluster.end()
    }

    /// Many that wait for logs are committed together.
    @Test(arguments: [(DrillAck.disk, 2), (.wal, 16)])
    func roundsOfFaultsLoseNothing(ack: DrillAck, writers: Int) async throws {
        let cluster = try cluster()
        var drill = Drill(cluster, seed: 7, pause: .milliseconds(5), ack: ack)

        let counts = try await drill.run(rounds: 6, writers: writers) { _ in }
        try cluster.end()

        #expect(counts.rounds == 6 && counts.acked > 0)
    }
}
