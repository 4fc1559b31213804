import ReplicationTestSupport
import StorageEngineTestSupport
import Testing

@testable import Replication
@testable import StorageEngine

/// Records reach followers whoever reads them: a writer that is alone, the link, the feed's thread.
@Suite(.timeLimit(.minutes(2))) struct FeedJobsTests {
    /// Small records and large ones, in the log and in memory only, of one writer and of many.
    @Test(arguments: [1, 6]) func everyRecordReachesTheFollowers(writers: Int) async throws {
        let cluster = try MemberCluster(voters: 3)
        let members = try await cluster.start()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<writers {
                group.addTask {
                    var random = SeededGenerator(seed: UInt64(writer))
                    for number in 0..<100 {
                        let size = [10, 1_000, 80_000].randomElement(using: &random) ?? 0
                        let receipt = try await members[0].put(
                            [UInt8](repeating: UInt8(number), count: size),
                            for: "\(writer)-\(number)",
                            ack: number % 4 == 0 ? .memory : .wal,
                            replicas: .followers(number % 3, at: .applied)
                        )
                        #expect(receipt.followers(at: .applied) >= number % 3)
                    }
                }
            }
            try await group.waitForAll()
        }
        try await cluster.waitUntilEqual()
        #expect(try MemberCluster.contents(members[2]).count == writers * 100)
    }

    /// What could not be read is kept until it can be, whoever tried.
    @Test func aRecordThatIsInMemoryOnlyIsSentOnceItIsInTheLog() async throws {
        let cluster = try MemberCluster(voters: 2)
        cluster.options.engine.memoryDelay = .milliseconds(200)
        let members = try await cluster.start()
        for number in 0..<20 {
            try await members[0].put("a", for: "\(number)", ack: .memory)
            // Whoever waits for it helps, and finds that it cannot be read yet.
            try await members[0].put(
                "b",
                for: "\(number)",
                ack: .memory,
                replicas: .followers(1, at: .wal)
            )
        }
        try await cluster.waitUntilEqual()
    }
}
