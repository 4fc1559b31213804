import ReplicationTestSupport
import StorageEngineTestSupport
import Testing

@testable import Replication
@testable import StorageEngine

/// Reads, chains and what members say of themselves, on real stores.
@Suite(.serialized) struct MemberReadTests {
    @Test func aReaderOfAFollowerSeesItsOwnWrites() async throws {
        let cluster = try MemberCluster(voters: 2)
        let members = try await cluster.start()
        cluster.network.setDelay(milliseconds: 5)
        for number in 0..<20 {
            let receipt = try await members[0].put("\(number)", for: "a", ack: .memory)
            // Whoever knows no epoch waits as well.
            let (whole, sequence) = (receipt.position, receipt.position.sequence)
            let bare = Position(epoch: .none, sequence: sequence, logHash: nil)
            let position = number % 2 == 0 ? whole : bare
            let snapshot = try await members[1].read(after: position)
            #expect(try snapshot.value(for: "a") == Array("\(number)".utf8))
        }
    }

    @Test func aPositionThatNeverComesIsToldApartFromALateOne() async throws {
        let cluster = try MemberCluster(voters: 3)
        let members = try await cluster.start()
        let first = try await members[0].put("1", for: "a", replicas: .followers(2, at: .applied))
        cluster.network.isolate(cluster.ids[0], from: cluster.ids)
        let lost = try await members[0].put("2", for: "a", ack: .disk)
        let late = await #expect(throws: ReplicationError.self) {
            try await members[1].read(after: lost.position, timeout: .milliseconds(50))
        }
        #expect(late == .notReached(lost.position))
        try await members[1].promote()
        _ = try await members[1].put("3", for: "a", ack: .disk)
        let never = await #expect(throws: ReplicationError.self) {
            try await members[1].read(after: lost.position)
        }
        guard case .store(let error) = never else {
            Issue.record("\(String(describing: never))")
            return
        }
        #expect(error.code == .diverged)
        let snapshot = try await members[1].read(after: first.position)
        #expect(try snapshot.value(for: "a") == Array("3".utf8))
    }

    @Test func aChainOfFollowersIsFedByOneAnother() async throws {
        let cluster = try MemberCluster(voters: 4)
        let leader = try cluster.open(0)
        try leader.bootstrap()
        for index in 1..<4 {
            try cluster.open(index) { $0.feeders = [cluster.ids[index - 1]] }
        }
        try await MemberCluster.wait("the chain stands") {
            (1..<4).allSatisfy { index in
                cluster.members[index]?.status.feeder == cluster.ids[index - 1]
            }
        }
        let receipt = try await leader.put("1", for: "a", replicas: .followers(3, at: .applied))
        #expect(receipt.followers(at: .applied) == 3)
        #expect(try MemberCluster.contents(cluster[3]) == ["a": "1"])
        // The leader has sent it once.
        let progress = leader.status.progress.map(\.member)
        #expect(Set(progress) == Set(cluster.ids))
        for number in 0..<200 { _ = try await leader.put("\(number)", for: "b", ack: .wal) }
        try await cluster.waitUntilEqual()
        #expect(try MemberCluster.contents(cluster[3])["b"] == "199")
    }

    @Test func aRingHealsWhereItIsBroken() async throws {
        let cluster = try MemberCluster(voters: 4)
        cluster.options.shortfall = .wait
        let before = [3, 0, 1, 2]
        for index in 0..<4 {
            try cluster.open(index) { $0.feeders = [cluster.ids[before[index]]] }
        }
        let leader = try cluster[0]
        try leader.bootstrap()
        try await MemberCluster.wait("the ring stands") {
            try (1..<4).allSatisfy { try cluster[$0].status.feeder == cluster.ids[before[$0]] }
        }
        cluster.kill(1)
        // Nobody feeds it any more but the leader, or who is behind it in the ring.
        let first = try await leader.put("1", for: "a", replicas: .followers(2, at: .applied))
        #expect(first.followers(at: .applied) == 2)
        #expect(try cluster[2].status.feeder != cluster.ids[1])

        try cluster.open(1) { $0.feeders = [cluster.ids[0]] }
        _ = try await leader.put("2", for: "a", replicas: .allFollowers(at: .applied))
        // Only by way of another one.
        cluster.network.cut(cluster.ids[0], cluster.ids[1])
        _ = try await leader.put("3", for: "a", replicas: .allFollowers(at: .applied))
        for index in 1..<4 { #expect(try MemberCluster.contents(cluster[index]) == ["a": "3"]) }
        // The one behind it leads: the ring goes on from there.
        cluster.network.heal()
        try await cluster[2].promote()
        _ = try await cluster[2].put("4", for: "a", replicas: .allFollowers(at: .disk))
        try await cluster.waitUntilEqual()
        #expect(try MemberCluster.contents(cluster[0]) == ["a": "4"])
    }

    @Test func statusSaysWhoIsWhereAndWhoBlocks() async throws {
        let cluster = try MemberCluster(voters: 3, observers: 1)
        let members = try await cluster.start()
        cluster.options.shortfall = .wait
        _ = try await members[0].put("1", for: "a", replicas: .allFollowers(at: .disk))
        try await cluster.waitUntilEqual()
        let follower = members[1].status
        #expect(follower.activity == .following)
        #expect(follower.leader == cluster.ids[0])
        #expect(follower.feeder != nil)
        #expect(follower.history == members[0].status.history)
        #expect(members[3].status.isVoter == false)
        try await MemberCluster.wait("everybody is seen") {
            let status = members[0].status
            return status.progress.count == 4 && status.missing.isEmpty
                && status.progress.allSatisfy { $0.disk == 1 && $0.lagSequences == 0 }
        }
        #expect(members[0].status.replicatedSequence == 1)
        cluster.network.isolate(cluster.ids[2], from: cluster.ids)
        for number in 0..<20 { _ = try await members[0].put("\(number)", for: "b", ack: .wal) }
        try await MemberCluster.wait("the second has it") {
            members[0].status.progress.contains {
                $0.member == cluster.ids[1] && $0.disk == 21
            }
        }
        let waiting = Task {
            try await members[0].put("2", for: "a", replicas: .allFollowers(at: .disk))
        }
        try await MemberCluster.wait("it waits") { members[0].status.waitingCount == 1 }
        try await MemberCluster.wait("the lag has an age") {
            let status = members[0].status
            guard let behind = status.progress.first(where: { $0.member == cluster.ids[2] }) else {
                return status.missing == [cluster.ids[2]]
            }
            return behind.lagSequences > 0 && behind.lagBytes > 0 && behind.lagMilliseconds > 0
        }
        #expect(members[0].status.blocking == [cluster.ids[2]])
        cluster.network.heal()
        _ = await waiting.result
        try await cluster.waitUntilEqual()
    }

    /// Either would do, however far behind the other one is.
    @Test func allThatAWriteMayWaitForBlockIt() async throws {
        let cluster = try MemberCluster(voters: 3)
        cluster.options.shortfall = .wait
        let members = try await cluster.start()
        for number in 0...1 {
            cluster.network.isolate(cluster.ids[1 + number], from: cluster.ids)
            _ = try await members[0].put("\(number)", for: "a", ack: .wal)
        }
        #expect(members[0].status.blocking.isEmpty, "nobody waits")
        let waiting = Task {
            try await members[0].put("2", for: "a", replicas: .followers(1, at: .received))
        }
        try await MemberCluster.wait("both block it") {
            Set(members[0].status.blocking) == [cluster.ids[1], cluster.ids[2]]
        }
        cluster.network.heal()
        #expect(try await waiting.value.followers(at: .received) >= 1)
        #expect(members[0].status.blocking.isEmpty)
    }

    @Test func eventsTellWhatHappens() async throws {
        let cluster = try MemberCluster(voters: 2)
        let leader = try cluster.open(0)
        let events = leader.events
        try leader.bootstrap()
        let follower = try cluster.open(1)
        let followed = follower.events
        for await event in events {
            if case .leading(let epoch) = event {
                #expect(epoch.number == 1)
                break
            }
        }
        for await event in followed {
            if case .following(let id, let feeder) = event {
                #expect(id == cluster.ids[0])
                #expect(feeder == cluster.ids[0])
                break
            }
        }
        try cluster.close(1)
        for await _ in followed {}
    }
}
