import StorageEngineTestSupport
import Testing

@testable import Replication
@testable import StorageEngine

/// Members on simulated disks, which fail and lose power.
@Suite(.serialized) struct MemberFaultTests {
    private func cluster(voters: Int) throws -> MemberCluster {
        let cluster = try MemberCluster(voters: voters)
        for index in 0..<voters { cluster.disks[index] = SimulatedFileSystem() }
        return cluster
    }

    @Test func whatWasAcknowledgedOnDiskSurvivesAPowerCutOfAll() async throws {
        for round in 0..<4 {
            let cluster = try cluster(voters: 3)
            let members = try await cluster.start()
            var acknowledged = 0
            for number in 1...(20 + round * 10) {
                _ = try await members[0].put(
                    "\(number)",
                    for: "a",
                    ack: .memory,
                    replicas: .followers(2, at: .disk)
                )
                acknowledged = number
            }
            for index in 0..<3 {
                // The leader's own disk has little of it.
                let image = try #require(cluster.disks[index]).crashed(.none)
                cluster.kill(index)
                cluster.disks[index] = image
            }
            for index in [1, 2, 0] { try cluster.open(index) }
            // The first one asks as well: whoever leads, leads.
            await MemberCluster.promote(try cluster[1 + round % 2])
            try await cluster.waitUntilEqual()
            for index in 0..<3 {
                let contents = try MemberCluster.contents(cluster[index])
                #expect(contents == ["a": "\(acknowledged)"], "round \(round)")
            }
        }
    }

    @Test func aLeaderWhoseLogFailsIsOpenedAgainAndAsks() async throws {
        let cluster = try cluster(voters: 2)
        let members = try await cluster.start()
        _ = try await members[0].put("1", for: "a", replicas: .followers(1, at: .disk))
        try await cluster.waitUntilEqual()
        let disk = try #require(cluster.disks[0])
        disk.inject(SimulatedFault(.dataSync, errno: 5) { $0.hasSuffix(".log") })
        let error = await #expect(throws: ReplicationError.self) {
            try await members[0].put("2", for: "a", ack: .disk)
        }
        switch error {
        case .indeterminate, .store: break
        default: Issue.record("\(String(describing: error))")
        }
        try await MemberCluster.wait("it leads again") {
            members[0].status.activity == .leading && members[0].status.failure == nil
        }
        #expect(members[0].status.promised.isFirstOfTerm)
        _ = try await members[0].put("3", for: "a", replicas: .followers(1, at: .disk))
        try await cluster.waitUntilEqual()
        #expect(try MemberCluster.contents(members[1]) == ["a": "3"])
    }

    @Test func nothingIsSaidBeforeTheMarkIsDurable() async throws {
        let cluster = try cluster(voters: 2)
        let leader = try cluster.open(0)
        try leader.bootstrap()
        let disk = try #require(cluster.disks[1])
        disk.inject(
            SimulatedFault(.dataSync, errno: 5, duration: .forever) { $0.hasPrefix("MEMBER") }
        )
        let follower = try cluster.open(1)
        let events = follower.events
        for await event in events {
            if case .storeFailed(let error) = event {
                #expect(error.errno == 5)
                break
            }
        }
        _ = try await leader.put("1", for: "a", ack: .disk)
        #expect(leader.status.missing == [cluster.ids[1]])
        #expect(follower.status.history == nil)
        disk.removeFaults()
        try await cluster.waitUntilEqual()
        #expect(try MemberCluster.contents(follower) == ["a": "1"])
    }

    @Test func aFollowerWithoutSpaceGoesOnWhenThereIsSome() async throws {
        let cluster = try cluster(voters: 2)
        let members = try await cluster.start()
        _ = try await members[0].put("1", for: "a", replicas: .followers(1, at: .disk))
        let disk = try #require(cluster.disks[1])
        let events = members[1].events
        disk.capacity = disk.usedSpace
        disk.inject(SimulatedFault(.write, errno: 28, duration: .forever) { $0.hasSuffix(".log") })
        for number in 2...30 { _ = try await members[0].put("\(number)", for: "a", ack: .wal) }
        for await event in events {
            if case .storeFailed(let error) = event {
                #expect(error.code == .noSpace)
                break
            }
        }
        #expect(try MemberCluster.contents(members[1]) == ["a": "1"])
        disk.capacity = .max
        disk.removeFaults()
        try await cluster.waitUntilEqual()
        #expect(try MemberCluster.contents(members[1]) == ["a": "30"])
    }
}
