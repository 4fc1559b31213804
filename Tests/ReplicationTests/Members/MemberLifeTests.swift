import ReplicationTestSupport
import StorageEngineTestSupport
import Testing

@testable import Replication
@testable import StorageEngine

/// Members that come, go and come back, on real stores.
@Suite(.serialized) struct MemberLifeTests {
    @Test func aFollowerGoesOnAfterWhatItHasWhenItIsOpenedAgain() async throws {
        let cluster = try MemberCluster(voters: 2)
        let members = try await cluster.start()
        for number in 0..<50 {
            _ = try await members[0].put("\(number)", for: "\(number)", ack: .wal)
        }
        try await cluster.waitUntilEqual()
        for round in 0..<4 {
            if round % 2 == 0 { try cluster.close(1) } else { cluster.kill(1) }
            for number in 0..<50 {
                _ = try await members[0].put("\(round)", for: "\(number)", ack: .wal)
            }
            let before = cluster.network.payloadCount(of: cluster.ids[0])
            try cluster.open(1)
            try await cluster.waitUntilEqual()
            #expect(cluster.network.payloadCount(of: cluster.ids[0]) > before)
            let contents = try MemberCluster.contents(cluster[1])
            #expect(contents == (try MemberCluster.contents(members[0])), "round \(round)")
        }
    }

    @Test func aLeaderThatWasClosedCleanlyLeadsAgainWithoutAsking() async throws {
        let cluster = try MemberCluster(voters: 3)
        _ = try await cluster.start()
        _ = try await cluster[0].put("1", for: "a", replicas: .followers(2, at: .wal))
        let epoch = cluster.members[0]?.status.promised
        for index in 0..<3 { try cluster.close(index) }
        let leader = try cluster.open(0)
        #expect(leader.status.activity == .leading)
        #expect(leader.status.promised.number == (epoch?.number ?? 0) + 1)
        _ = try await leader.put("2", for: "a", ack: .disk)
        try cluster.open(1)
        try cluster.open(2)
        try await cluster.waitUntilEqual()
        #expect(try MemberCluster.contents(cluster[2]) == ["a": "2"])
    }

    @Test func aLeaderThatDiedAsksBeforeItLeadsAgain() async throws {
        let cluster = try MemberCluster(voters: 3)
        _ = try await cluster.start()
        _ = try await cluster[0].put("1", for: "a", replicas: .followers(1, at: .received))
        cluster.kill(0)
        let leader = try cluster.open(0)
        #expect(leader.status.activity != .leading)
        try await MemberCluster.wait("it leads again") { leader.status.activity == .leading }
        #expect(leader.status.promised.isFirstOfTerm)
        try await cluster.waitUntilEqual()
        #expect(try MemberCluster.contents(cluster[2]) == ["a": "1"])
    }

    @Test func whoLeadsFirstTakesOverWhatAnotherVoterHasMore() async throws {
        let cluster = try MemberCluster(voters: 3)
        _ = try await cluster.start()
        _ = try await cluster[0].put("0", for: "a", replicas: .followers(2, at: .wal))
        // The third is cut off and misses what the second has.
        cluster.network.isolate(cluster.ids[2], from: cluster.ids)
        for number in 1...30 {
            _ = try await cluster[0].put(
                "\(number)",
                for: "a",
                replicas: .followers(1, at: .disk)
            )
        }
        cluster.kill(0)
        cluster.network.heal()
        try await cluster[2].promote()
        #expect(try MemberCluster.contents(cluster[2]) == ["a": "30"])
        try await cluster.waitUntilEqual()
        _ = try await cluster[2].put("31", for: "a", replicas: .followers(1, at: .applied))
        #expect(try MemberCluster.contents(cluster[1]) == ["a": "31"])
    }

    @Test func anOldLeaderIsCutBackAndFollows() async throws {
        let cluster = try MemberCluster(voters: 3)
        _ = try await cluster.start()
        _ = try await cluster[0].put("kept", for: "a", replicas: .followers(2, at: .disk))
        cluster.network.isolate(cluster.ids[0], from: cluster.ids)
        for number in 0..<20 {
            _ = try await cluster[0].put("lost \(number)", for: "b", ack: .disk)
        }
        try await cluster[1].promote()
        _ = try await cluster[1].put("new", for: "c", replicas: .followers(1, at: .disk))
        cluster.network.heal()
        try await cluster.waitUntilEqual()
        #expect(cluster.members[0]?.status.activity == .following)
        #expect(try MemberCluster.contents(cluster[0]) == ["a": "kept", "c": "new"])
        #expect(try quarantine(of: cluster, 0).isEmpty == false)
        // And again, the other way round, after it was opened again.
        try cluster.close(0)
        try cluster.open(0)
        try await cluster.waitUntilEqual()
        try await cluster[0].promote()
        _ = try await cluster[0].put("back", for: "d", replicas: .allFollowers(at: .applied))
        #expect(try MemberCluster.contents(cluster[1])["d"] == "back")
    }

    @Test func whatIsInSegmentsAlreadyIsReplacedByACopy() async throws {
        let cluster = try MemberCluster(voters: 3)
        _ = try await cluster.start()
        _ = try await cluster[0].put("kept", for: "a", replicas: .followers(2, at: .disk))
        cluster.network.isolate(cluster.ids[0], from: cluster.ids)
        _ = try await cluster[0].put("lost", for: "b", ack: .disk)
        let engine = try #require(try cluster[0].engine)
        try await engine.flush()
        try await cluster[1].promote()
        _ = try await cluster[1].put("new", for: "c", replicas: .followers(1, at: .disk))
        cluster.network.heal()
        try await cluster.waitUntilEqual()
        #expect(try MemberCluster.contents(cluster[0]) == ["a": "kept", "c": "new"])
        #expect(try MemberFile.read(in: cluster.place(0))?.storeNumber == 2)
        #expect(try quarantine(of: cluster, 0).isEmpty == false)
        try cluster.close(0)
        try cluster.open(0)
        try await cluster.waitUntilEqual()
        #expect(try MemberCluster.contents(cluster[0]) == ["a": "kept", "c": "new"])
    }

    /// What is in the quarantine of a member's store.
    private func quarantine(of cluster: MemberCluster, _ index: Int) throws -> [String] {
        let place = try cluster.place(index)
        let number = try MemberFile.read(in: place)?.storeNumber ?? 0
        let store = try place.subdirectory(MemberDirectory.store(number))
        return try store.subdirectory("quarantine").list().unknown
    }

    @Test func nothingAcknowledgedIsLostWhenTheLeadMovesUnderLoad() async throws {
        let cluster = try MemberCluster(voters: 3)
        let members = try await cluster.start()
        let stop = Stop()
        let writers = (0..<4).map { task in
            Task { await Self.write(to: members, "\(task)", until: stop) }
        }
        for round in 1...6 {
            try await Task.sleep(for: .milliseconds(300))
            // Another one may be asked at the same time: whoever leads, leads.
            await MemberCluster.promote(members[round % 3])
        }
        try await Task.sleep(for: .milliseconds(200))
        stop.set()
        var acknowledged: [String: String] = [:]
        for writer in writers { acknowledged.merge(await writer.value) { $1 } }
        #expect(!acknowledged.isEmpty)
        try await cluster.waitUntilEqual()
        let contents = try MemberCluster.contents(members[0])
        for (key, value) in acknowledged { #expect(contents[key] == value) }
        for member in members { #expect(try MemberCluster.contents(member) == contents) }
    }

    /// Writes until it is told to stop, through whoever leads; returns what was acknowledged.
    private static func write(
        to members: [Member],
        _ prefix: String,
        until stop: Stop
    ) async -> [String: String] {
        var acknowledged: [String: String] = [:]
        var number = 0
        while !stop.isSet {
            number += 1
            let (key, value) = ("\(prefix)-\(number)", "value \(number)")
            if await write(value, key, to: members) { acknowledged[key] = value }
        }
        return acknowledged
    }

    private static func write(_ value: String, _ key: String, to members: [Member]) async -> Bool {
        for member in members where member.status.activity == .leading {
            let replicas = Requirement.followers(1, at: .wal)
            do {
                _ = try await member.put(value, for: key, ack: .wal, replicas: replicas)
                return true
            } catch {}
        }
        await Task.yield()
        return false
    }

    @Test func aPromotionWithoutEnoughVotersFailsUnlessLossIsAccepted() async throws {
        let cluster = try MemberCluster(voters: 3)
        _ = try await cluster.start()
        _ = try await cluster[0].put("1", for: "a", replicas: .followers(2, at: .disk))
        cluster.kill(0)
        cluster.kill(1)
        let error = await #expect(throws: ReplicationError.self) { try await cluster[2].promote() }
        #expect(error == .promotionFailed)
        try await cluster[2].promote(acceptLoss: true)
        _ = try await cluster[2].put("2", for: "a", ack: .disk)
        try cluster.open(0)
        try cluster.open(1)
        try await cluster.waitUntilEqual()
        #expect(try MemberCluster.contents(cluster[0]) == ["a": "2"])
    }
}

/// Thread safety: every method may be called from any thread.
final class Stop: @unchecked Sendable {
    private let lock = Lock()
    // The lock.
    private var value = false
    var isSet: Bool { lock.with { value } }
    func set() { lock.with { value = true } }
}
