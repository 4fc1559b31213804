import ReplicationTestSupport
import StorageEngineTestSupport
import Testing

@testable import Replication
@testable import StorageEngine

/// Followers that come back far behind, on real stores.
@Suite(.serialized) struct MemberCatchUpTests {
    /// A leader and a live follower of three voters; the third one is behind by so many values of a
    /// kilobyte.
    private func cluster(values: Int) async throws -> MemberCluster {
        let cluster = try MemberCluster(voters: 3)
        let members = try await cluster.start()
        try cluster.close(2)
        var generator = SeededGenerator(seed: UInt64(values))
        for number in 0..<values {
            let value = (0..<1_000).map { _ in UInt8.random(in: 0x61...0x7a, using: &generator) }
            _ = try await members[0].put(value, for: "\(number)", ack: .memory)
        }
        return cluster
    }

    /// How many followers have not had all that the log held.
    private func catchingUp(_ member: Member) -> Int {
        member.lock.with { member.state.core.catchingUp.count }
    }

    @Test func whoCatchesUpIsPacedAndLiveOnesAreNot() async throws {
        let cluster = try MemberCluster(voters: 3)
        // Half a megabyte takes minutes. Nobody is fed by who is behind.
        cluster.options.settings.relays = false
        cluster.options.catchUpRate = 4_096
        let members = try await cluster.start()
        try await MemberCluster.wait("both are live") { catchingUp(members[0]) == 0 }
        try cluster.close(2)
        for number in 0..<500 {
            let value = [UInt8](repeating: UInt8(number % 251), count: 1_000)
            _ = try await members[0].put(value, for: "\(number)", ack: .memory)
        }
        let behind = try cluster.open(2)
        try await MemberCluster.wait("it has begun") { behind.status.position.sequence > 0 }
        for number in 0..<50 {
            let receipt = try await members[0].put(
                "\(number)",
                for: "live",
                replicas: .followers(1, at: .applied)
            )
            #expect(receipt.followers(at: .applied) == 1)
        }
        #expect(catchingUp(members[0]) == 1)
        #expect(behind.status.position.sequence < members[0].status.position.sequence)
        #expect(behind.status.activity == .following)
    }

    @Test func whoIsPacedGetsEverythingInTheEnd() async throws {
        let cluster = try MemberCluster(voters: 2)
        cluster.options.catchUpRate = 400_000
        let members = try await cluster.start()
        try cluster.close(1)
        for number in 0..<600 {
            let value = [UInt8](repeating: UInt8(number % 251), count: 1_000)
            _ = try await members[0].put(value, for: "\(number)", ack: .memory)
        }
        let follower = try cluster.open(1)
        try await cluster.waitUntilEqual()
        #expect(try MemberCluster.contents(follower) == (try MemberCluster.contents(members[0])))
        try await MemberCluster.wait("it is live") { catchingUp(members[0]) == 0 }
        _ = try await members[0].put("1", for: "a", replicas: .followers(1, at: .disk))
    }

    @Test func withoutALimitWhoIsBehindCatchesUpBesideALiveOne() async throws {
        let cluster = try await cluster(values: 3_000)
        let behind = try cluster.open(2)
        for number in 0..<50 {
            _ = try await cluster[0].put("\(number)", for: "x", replicas: .followers(1, at: .wal))
        }
        try await cluster.waitUntilEqual()
        #expect(try MemberCluster.contents(behind) == (try MemberCluster.contents(cluster[0])))
    }
}
