import ReplicationTestSupport
import StorageEngineTestSupport
import Testing

@testable import Replication
@testable import StorageEngine

/// What a write waits for, on real stores.
@Suite(.serialized) struct ModesTests {
    @Test func anAsynchronousWriteWaitsForNobodyAndArrives() async throws {
        let cluster = try MemberCluster(voters: 3)
        let leader = try cluster.open(0)
        try leader.bootstrap()
        let receipt = try await leader.put("1", for: "a", ack: .disk)
        #expect(receipt.local == .disk)
        #expect(receipt.followers(at: .received) == 0)
        #expect(!receipt.isDegraded)
        try cluster.open(1)
        try cluster.open(2)
        try await cluster.waitUntilEqual()
        for index in 0..<3 {
            #expect(try MemberCluster.contents(cluster[index]) == ["a": "1"])
        }
    }

    @Test(arguments: ReplicaPoint.allCases)
    func atLeastOneFollowerHasWhatWasAcknowledged(point: ReplicaPoint) async throws {
        let cluster = try MemberCluster(voters: 3)
        let members = try await cluster.start()
        for number in 0..<20 {
            let receipt = try await members[0].put(
                "value \(number)",
                for: "key \(number)",
                ack: .wal,
                replicas: .followers(1, at: point)
            )
            #expect(receipt.followers(at: point) >= 1)
            let reached = members[1...].filter { member in
                member.status.progress[0].reached(point) >= receipt.position.sequence
            }
            #expect(!reached.isEmpty)
        }
        try await cluster.waitUntilEqual()
        #expect(try MemberCluster.contents(members[2]).count == 20)
    }

    @Test func aSemiSynchronousWriteWaitsForSoManyFollowers() async throws {
        let cluster = try MemberCluster(voters: 4)
        let members = try await cluster.start()
        let receipt = try await members[0].put(
            "1",
            for: "a",
            replicas: .followers(2, at: .disk)
        )
        #expect(receipt.followers(at: .disk) >= 2)
        #expect(receipt.local == .disk)
        try cluster.close(3)
        try cluster.close(2)
        // Two are gone: one is left, and two are asked for.
        let error = await #expect(throws: ReplicationError.self) {
            try await members[0].put("2", for: "a", replicas: .followers(2, at: .wal))
        }
        guard case .indeterminate(let short, .tooFewFollowers) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        // The one that is left may have been fed by one of those.
        #expect(short.followers(at: .wal) < 2)
        #expect(short.local == .disk)
        // It is in the log all the same, and arrives.
        try cluster.open(2)
        try await cluster.waitUntilEqual()
        #expect(try MemberCluster.contents(cluster[2]) == ["a": "2"])
    }

    @Test func aFullySynchronousWriteWaitsForAllVoters() async throws {
        let cluster = try MemberCluster(voters: 3, observers: 1)
        let members = try await cluster.start()
        let receipt = try await members[0].put("1", for: "a", replicas: .allFollowers(at: .applied))
        #expect(receipt.followers(at: .applied) == 2)
        #expect(try MemberCluster.contents(members[1]) == ["a": "1"])
        #expect(try MemberCluster.contents(members[2]) == ["a": "1"])
        try cluster.close(2)
        #expect(throws: ReplicationError.self) {
            try members[0].put("2", for: "a", replicas: .allFollowers(at: .received))
        }
    }

    @Test func requirementsMayBeMixedOnOneStore() async throws {
        let cluster = try MemberCluster(voters: 3)
        let members = try await cluster.start()
        let requirements: [(AckPoint, Requirement)] = [
            (.memory, .none), (.disk, .none), (.memory, .followers(1, at: .received)),
            (.wal, .followers(2, at: .wal)), (.disk, .followers(1, at: .disk)),
            (.wal, .allFollowers(at: .applied)),
        ]
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<8 {
                group.addTask { try await Self.write(members[0], task, requirements) }
            }
            try await group.waitForAll()
        }
        try await cluster.waitUntilEqual()
        let contents = try MemberCluster.contents(members[0])
        #expect(contents.count == 160)
        #expect(try MemberCluster.contents(members[1]) == contents)
        #expect(try MemberCluster.contents(members[2]) == contents)
    }

    private static func append(to leader: Member, _ key: String) async {
        for number in 0..<200 {
            do { _ = try await leader.put("\(number)", for: key, ack: .wal) } catch {}
        }
    }

    @Test(arguments: [8, 48])
    func aWriteThatWasAppendedWithOthersIsDoneWithoutThem(tasks: Int) async throws {
        let cluster = try MemberCluster(voters: 2)
        // No sync moves the log's points while everybody waits.
        cluster.options.engine.syncInterval = .seconds(3_600)
        let leader = try cluster.open(0)
        try leader.bootstrap()
        let done = Stop()
        let writers = Task {
            await withTaskGroup(of: Void.self) { group in
                for task in 0..<tasks { group.addTask { await Self.append(to: leader, "\(task)") } }
            }
            done.set()
        }
        try await MemberCluster.wait("all writes are done") { done.isSet }
        await writers.value
        #expect(leader.engine?.lastSequence == UInt64(tasks * 200))
    }

    /// What nobody waits for is synced with a tick.
    @Test func packsSayDownTheChainWhetherADiskIsAwaited() async throws {
        let cluster = try MemberCluster(voters: 3)
        cluster.options.engine.syncInterval = .seconds(3_600)
        let packs = PackRecord()
        cluster.network.setChange { packet in
            if case .pack(_, _, let pack) = packet.message { packs.add(pack) }
            return packet
        }
        try cluster.open(0).bootstrap()
        for index in 1..<3 { try cluster.open(index) { $0.feeders = [cluster.ids[index - 1]] } }
        try await MemberCluster.wait("the chain stands") {
            try (1..<3).allSatisfy { try cluster[$0].status.feeder == cluster.ids[$0 - 1] }
        }

        let first = try await cluster[0].put("1", for: "a", replicas: .followers(2, at: .applied))
        try await MemberCluster.wait("it is on all disks") {
            try (1..<3).allSatisfy {
                try cluster[$0].status.progress[0].disk >= first.position.sequence
            }
        }
        let second = try await cluster[0].put("2", for: "a", replicas: .followers(2, at: .disk))

        #expect(packs.ending(at: first.position.sequence).map(\.isAwaitedOnDisk) == [false, false])
        #expect(packs.ending(at: second.position.sequence).map(\.isAwaitedOnDisk) == [true, true])
    }

    private static func write(
        _ leader: Member,
        _ task: Int,
        _ requirements: [(AckPoint, Requirement)]
    ) async throws {
        for number in 0..<20 {
            let (ack, replicas) = requirements[(task + number) % requirements.count]
            let receipt = try await leader.put(
                "\(number)",
                for: "\(task)-\(number)",
                ack: ack,
                replicas: replicas
            )
            #expect(receipt.local >= ack)
            guard case .followers(let count, let point) = replicas else { continue }
            #expect(receipt.followers(at: point) >= count)
        }
    }

    @Test func moreFollowersThanConfiguredFailAtTheCall() throws {
        let cluster = try MemberCluster(voters: 3)
        let leader = try cluster.open(0)
        try leader.bootstrap()
        let error = #expect(throws: ReplicationError.self) {
            try leader.put("1", for: "a", replicas: .followers(3, at: .wal))
        }
        #expect(error == .tooManyFollowers(asked: 3, configured: 2))
        #expect(try MemberCluster.contents(leader).isEmpty)
    }

    @Test func aFollowerRefusesWritesAndNamesTheLeader() async throws {
        let cluster = try MemberCluster(voters: 2)
        let members = try await cluster.start()
        try await MemberCluster.wait("it follows") { members[1].status.activity == .following }
        let error = #expect(throws: ReplicationError.self) { try members[1].put("1", for: "a") }
        #expect(error == .notLeader(hint: cluster.ids[0]))
        let engine = try #require(members[1].engine)
        let direct = #expect(throws: EngineError.self) { try engine.put("1", for: "a") }
        #expect(direct?.code == .notLeader)
    }

    @Test(arguments: SequencePolicy.allCases)
    func sequencesMayHaveGaps(policy: SequencePolicy) async throws {
        let cluster = try MemberCluster(voters: 2)
        cluster.options.engine.sequences = policy
        let members = try await cluster.start()
        for number in 1...40 as ClosedRange<UInt64> {
            var batch = WriteBatch()
            try batch.put("\(number)", for: "\(number % 7)")
            let receipt = try await members[0].write(
                batch,
                ack: .wal,
                replicas: .followers(1, at: .applied),
                sequence: policy == .client ? number * 1_000 : nil
            )
            #expect(receipt.followers(at: .applied) == 1)
        }
        try cluster.close(1)
        try cluster.open(1)
        try await cluster.waitUntilEqual()
        try await cluster[1].promote()
        var batch = WriteBatch()
        try batch.put("last", for: "1")
        _ = try await cluster[1].write(
            batch,
            replicas: .followers(1, at: .disk),
            sequence: policy == .client ? 50_000 : nil
        )
        let contents = try MemberCluster.contents(cluster[0])
        #expect(contents == (try MemberCluster.contents(cluster[1])))
        #expect(contents["1"] == "last")
    }

    @Test func aDegradedStoreSaysSoInReceiptsAndIsRestored() async throws {
        let cluster = try MemberCluster(voters: 2)
        cluster.options.shortfall = .degrade(floor: 0, after: .milliseconds(200))
        cluster.options.settings.rejoinHold = 200
        let leader = try cluster.open(0)
        try leader.bootstrap()
        let receipt = try await leader.put("1", for: "a", replicas: .followers(1, at: .wal))
        #expect(receipt.isDegraded)
        #expect(receipt.followers(at: .wal) == 0)
        #expect(leader.status.isDegraded)
        try cluster.open(1)
        try await MemberCluster.wait("restored") { !leader.status.isDegraded }
        let whole = try await leader.put("2", for: "a", replicas: .followers(1, at: .wal))
        #expect(!whole.isDegraded)
        #expect(whole.followers(at: .wal) == 1)
    }
}

extension MemberStatus.Progress {
    func reached(_ point: ReplicaPoint) -> UInt64 {
        switch point {
        case .received: received
        case .wal: wal
        case .disk: disk
        case .applied: applied
        }
    }
}

/// The packs that were sent.
///
/// Thread safety: every method may be called from any thread.
private final class PackRecord: @unchecked Sendable {
    private let lock = Lock()
    // The lock.
    private var packs: [Pack] = []

    func add(_ pack: Pack) { lock.with { packs.append(pack) } }

    func ending(at sequence: UInt64) -> [Pack] {
        lock.with { packs.filter { $0.last == sequence } }
    }
}
