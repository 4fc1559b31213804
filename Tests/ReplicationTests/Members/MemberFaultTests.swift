import Glibc
import ReplicationTestSupport
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

    /// Its log is empty, and yet it has a history.
    @Test func aLeaderWhoseRecordsAreWithItsFollowersOnlyAsksBeforeItLeads() async throws {
        let cluster = try cluster(voters: 3)
        let members = try await cluster.start()
        _ = try await members[0].put(
            "1",
            for: "a",
            ack: .memory,
            replicas: .followers(2, at: .disk)
        )
        for index in 0..<3 {
            let image = try #require(cluster.disks[index]).crashed(.none)
            cluster.kill(index)
            cluster.disks[index] = image
        }
        let leader = try cluster.open(0)
        try #require(leader.status.position.sequence == 0)
        #expect(leader.status.isSuspect)
        #expect(leader.status.activity != .leading)
        try cluster.open(1)
        try cluster.open(2)
        try await cluster.waitUntilEqual()
        for index in 0..<3 {
            #expect(try MemberCluster.contents(cluster[index]) == ["a": "1"])
        }
    }

    /// Nobody else has a history yet who could be asked.
    @Test func aMemberThatBeganAHistoryAndDiedAtOnceLeadsAgain() async throws {
        let cluster = try cluster(voters: 3)
        try cluster.open(0).bootstrap()
        let image = try #require(cluster.disks[0]).crashed(.none)
        cluster.kill(0)
        cluster.disks[0] = image
        let members = try [1, 2, 0].map { try cluster.open($0) }

        try await MemberCluster.wait("all know who leads") {
            members[2].status.activity == .leading && members.allSatisfy { !$0.status.isSuspect }
        }
        _ = try await members[2].put("1", for: "a", replicas: .followers(2, at: .disk))
        try await cluster.waitUntilEqual()
    }

    /// What it makes of the failure is not durable yet: its next opening must not take it for one
    /// that ended well.
    @Test func aLeaderThatIsClosedWhileItsStoreIsOpenedAgainAsksTheNextTime() async throws {
        let cluster = try cluster(voters: 2)
        let (isHeld, mayGoOn) = (Stop(), Stop())
        let armed = Stop()
        cluster.entropy[0] = {
            if armed.isSet {
                isHeld.set()
                while !mayGoOn.isSet { usleep(1_000) }
            }
            return UInt64.random(in: 0...UInt64.max)
        }
        let members = try await cluster.start()
        _ = try await members[0].put("1", for: "a", replicas: .followers(1, at: .disk))
        let disk = try #require(cluster.disks[0])
        armed.set()
        disk.inject(SimulatedFault(.dataSync, errno: 5) { $0.hasSuffix(".log") })
        await #expect(throws: ReplicationError.self) {
            try await members[0].put("2", for: "a", ack: .disk)
        }
        try await MemberCluster.wait("the store is being opened again") { isHeld.isSet }

        let closing = WorkerThread(name: "closing") { [leader = members[0]] in
            do throws(EngineError) { try leader.close() } catch {}
        }
        try await MemberCluster.wait("it is being closed") {
            guard case .store(let error) = refusal(of: members[0]) else { return false }
            return error.code == .closed
        }
        mayGoOn.set()
        closing.join()

        let again = try cluster.open(0)
        #expect(again.status.isSuspect && again.status.activity != .leading)
        try await cluster.waitUntilEqual()
    }

    private func refusal(of member: Member) -> ReplicationError? {
        do throws(ReplicationError) {
            try member.put("x", for: "x", ack: .memory)
            return nil
        } catch {
            return error
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

    @Test func aMemberWhoseFirstStoreCannotBeMadeSaysSoAndMakesItLater() async throws {
        let cluster = try cluster(voters: 2)
        let disk = try #require(cluster.disks[0])
        let member = try cluster.open(0)
        disk.inject(
            SimulatedFault(.rename, errno: 5, duration: .forever) { $0.hasPrefix("STORE") }
        )
        let error = #expect(throws: ReplicationError.self) { try member.bootstrap() }
        guard case .store(let failure) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(failure.errno == 5 && member.status.failure != nil)
        disk.removeFaults()
        try await MemberCluster.wait("it leads") { member.status.activity == .leading }
        #expect(member.status.failure == nil)
        _ = try await member.put("1", for: "a", ack: .disk)
        #expect(try MemberCluster.contents(member) == ["a": "1"])
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

    @Test func aFollowerWhoseDiskFailsDoesNotSayThatItHasAWriteOnDisk() async throws {
        let cluster = try cluster(voters: 2)
        cluster.options.shortfall = .fail(after: .milliseconds(1_500))
        let members = try await cluster.start()
        _ = try await members[0].put("1", for: "a", replicas: .followers(1, at: .disk))
        let disk = try #require(cluster.disks[1])
        disk.inject(
            SimulatedFault(.dataSync, errno: 5, duration: .forever) { $0.contains(".log") }
        )
        let error = await #expect(throws: ReplicationError.self) {
            try await members[0].put("2", for: "a", replicas: .followers(1, at: .disk))
        }
        guard case .indeterminate(let receipt, .tooFewFollowers) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(receipt.followers(at: .disk) == 0)
        disk.removeFaults()
        try await cluster.waitUntilEqual()
        #expect(try MemberCluster.contents(members[1]) == ["a": "2"])
    }

    @Test func aCopyIsOnDiskBeforeItIsTheStore() async throws {
        let cluster = try MemberCluster(voters: 2)
        cluster.disks[1] = SimulatedFileSystem()
        cluster.options.engine.logFileSize = 16_384
        cluster.options.engine.retainedLogSize = 0
        let leader = try cluster.open(0)
        try leader.bootstrap()
        for number in 0..<4_000 {
            _ = try await leader.put("\(number)", for: "\(number)", ack: .wal)
        }
        let engine = try #require(leader.engine)
        try await engine.flush()
        try engine.trimLog(through: engine.lastSequence)
        try cluster.open(1)
        try await cluster.waitUntilEqual()
        try #require(cluster.hasHappened("#1 copying"))
        let image = try #require(cluster.disks[1]).crashed(.none)
        cluster.kill(1)
        cluster.kill(0)
        cluster.disks[1] = image
        let follower = try cluster.open(1)
        #expect(try MemberCluster.contents(follower).count == 4_000)
        _ = try follower.engine?.verify()
    }

    @Test func aPackThatIsNotWhatItsMessageSaysIsRefused() async throws {
        let cluster = try MemberCluster(voters: 2)
        let members = try await cluster.start()
        let old = ByteBox()
        cluster.network.setChange { packet in
            if case .pack = packet.message { old.set(packet.payload) }
            return packet
        }
        _ = try await members[0].put("1", for: "a", replicas: .followers(1, at: .wal))
        cluster.network.setChange { packet in
            guard case .pack = packet.message else { return packet }
            // A pack that is whole, and another one.
            return Packet(message: packet.message, payload: old.bytes)
        }
        for number in 2...40 { _ = try await members[0].put("\(number)", for: "a", ack: .wal) }
        try await MemberCluster.wait("it is refused") { cluster.hasHappened("#1 refused(") }
        cluster.network.setChange { $0 }
        try await cluster.waitUntilEqual()
        #expect(try MemberCluster.contents(members[1]) == ["a": "40"])
        #expect(!cluster.hasHappened("#1 storeFailed("))
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

/// The bytes of a pack.
///
/// Thread safety: every method may be called from any thread.
private final class ByteBox: @unchecked Sendable {
    private let lock = Lock()
    // The lock.
    private var value: [UInt8] = []

    var bytes: [UInt8] { lock.with { value } }
    func set(_ bytes: [UInt8]) { lock.with { value = bytes } }
}
