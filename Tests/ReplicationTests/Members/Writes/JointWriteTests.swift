import Glibc
import ReplicationTestSupport
import StorageEngineTestSupport
import Testing

@testable import Replication
@testable import StorageEngine

/// Writes of several tasks at a time are committed together, and each has its own outcome.
@Suite(.serialized, .timeLimit(.minutes(2))) struct JointWriteTests {
    /// While the store takes nothing, those that write gather.
    @Test func whatHasGatheredIsInTheLogTogether() async throws {
        let cluster = try MemberCluster(voters: 2)
        let members = try await cluster.start()
        members[0].gatherAlways()
        let engine = try #require(members[0].engine)
        let pipeline = try #require(engine.pipeline)
        pipeline.lock.with { pipeline.state.boundaryWaiterCount += 1 }
        let before = engine.metrics.frames
        let writers = Task {
            try await withThrowingTaskGroup(of: ReplicatedReceipt.self) { group in
                for task in 0..<20 {
                    group.addTask {
                        try await members[0].put(
                            "\(task)",
                            for: "key \(task)",
                            ack: .wal,
                            replicas: .followers(1, at: .wal)
                        )
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
        }
        // Whoever commits waits for the last one of a group.
        try await MemberCluster.wait("all of them wait") {
            let queue = pipeline.lock.with { pipeline.state.queue }
            let left = queue.filter(\.isSuspended).count
            return queue.count + members[0].gathering.count == 20 && left == 1
        }
        pipeline.lock.with {
            pipeline.state.boundaryWaiterCount -= 1
            pipeline.dispatch()
        }

        let receipts = try await writers.value
        #expect(Set(receipts.map(\.position.sequence)).count == 20)
        #expect(receipts.allSatisfy { $0.local == .wal && $0.followers(at: .wal) == 1 })
        #expect(engine.metrics.frames - before <= 2)
        try await cluster.waitUntilEqual()
        #expect(try MemberCluster.contents(members[1]).count == 20)
    }

    @Test func eachOfThoseThatWriteTogetherHasItsOwnOutcome() async throws {
        let cluster = try MemberCluster(voters: 2)
        let members = try await cluster.start()
        members[0].gatherAlways()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<32 {
                group.addTask { try await Self.write(members[0], task) }
            }
            try await group.waitForAll()
        }
        try await cluster.waitUntilEqual()
        let contents = try MemberCluster.contents(members[1])
        #expect(contents.count == 24 * 50)
        #expect(contents.values.allSatisfy { $0 == "written" })
    }

    /// A quarter of the tasks asks for more followers than there are.
    private static func write(_ leader: Member, _ task: Int) async throws {
        for number in 0..<50 {
            let (key, ack) = ("\(task)-\(number)", task % 4 == 1 ? AckPoint.memory : .wal)
            guard task % 4 == 0 else {
                let replicas = Requirement.followers(1, at: .applied)
                let receipt = try await leader.put(
                    "written",
                    for: key,
                    ack: ack,
                    replicas: replicas
                )
                #expect(receipt.local >= ack && receipt.followers(at: .applied) == 1)
                continue
            }
            let error = await #expect(throws: ReplicationError.self) {
                try await leader.put(
                    "refused",
                    for: key,
                    ack: .wal,
                    replicas: .followers(2, at: .wal)
                )
            }
            #expect(error == .tooManyFollowers(asked: 2, configured: 1))
        }
    }

    /// Those that were too late for their sequence are refused, and nobody else.
    @Test func sequencesOfTheCallersOwnAreRefusedOneByOne() async throws {
        let cluster = try MemberCluster(voters: 2)
        cluster.options.engine.sequences = .client
        let members = try await cluster.start()
        members[0].gatherAlways()
        let (first, accepted) = (members[0].engine?.lastSequence ?? 0, WrittenSequences())
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 1...16 {
                group.addTask {
                    for number in 0..<20 {
                        let sequence = first + UInt64(number * 16 + task)
                        try await Self.write(members[0], at: sequence, accepted)
                    }
                }
            }
            try await group.waitForAll()
        }
        try await cluster.waitUntilEqual()
        let keys = try MemberCluster.contents(members[1]).keys.compactMap { UInt64($0) }
        #expect(accepted.sequences == keys.sorted())
        #expect(accepted.sequences.last == first + 16 * 20)
    }

    private static func write(
        _ leader: Member,
        at sequence: UInt64,
        _ accepted: WrittenSequences
    ) async throws {
        var batch = WriteBatch()
        try batch.put("value", for: "\(sequence)")
        do {
            let receipt = try await leader.write(
                batch,
                ack: .wal,
                replicas: .followers(1, at: .received),
                sequence: sequence
            )
            #expect(receipt.position.sequence == sequence)
            accepted.add(sequence)
        } catch ReplicationError.store(let error) {
            #expect(error.code == .invalidArgument)
        }
    }

    @Test func aFollowerRefusesAllThatHasGathered() async throws {
        let cluster = try MemberCluster(voters: 2)
        let members = try await cluster.start()
        members[1].gatherAlways()
        try await MemberCluster.wait("it follows") { members[1].status.activity == .following }
        let leader = cluster.ids[0]
        await withTaskGroup(of: Void.self) { group in
            for task in 0..<16 {
                group.addTask {
                    let error = await #expect(throws: ReplicationError.self) {
                        try await members[1].put(
                            "1",
                            for: "\(task)",
                            ack: .wal,
                            replicas: .followers(1, at: .wal)
                        )
                    }
                    #expect(error == .notLeader(hint: leader))
                }
            }
        }
        #expect(try MemberCluster.contents(members[0]).isEmpty)
    }

    /// How a member's lead ends while tasks write.
    enum End: CaseIterable {
        case fault, promotion, close
    }

    /// Nobody waits for ever, and what was acknowledged is there.
    @Test(arguments: End.allCases)
    func whoWritesAsTheLeadEndsIsTold(end: End) async throws {
        let cluster = try MemberCluster(voters: 2)
        let disk = SimulatedFileSystem()
        cluster.disks[0] = disk
        let members = try await cluster.start()
        let (acked, ended) = (WrittenSequences(), WrittenSequences())
        let writers = Task {
            await withTaskGroup(of: Void.self) { group in
                for task in 0..<32 {
                    group.addTask {
                        await Self.writeUntilRefused(members[0], "\(task)", acked)
                        ended.add(UInt64(task))
                    }
                }
            }
        }
        try await MemberCluster.wait("many were written") { acked.sequences.count > 1_000 }
        switch end {
        case .fault:
            disk.inject(
                SimulatedFault(.write, errno: EIO, duration: .forever) { $0.hasSuffix(".log") }
            )
        case .promotion: try await members[1].promote()
        case .close: try cluster.close(0)
        }
        try await MemberCluster.wait("all were told") { ended.sequences.count == 32 }
        await writers.value
        disk.removeFaults()
        if end == .close { try cluster.open(0) }
        try await cluster.waitUntilEqual()
        #expect(try MemberCluster.contents(cluster[1]).count >= acked.sequences.count)
    }

    private static func writeUntilRefused(
        _ leader: Member,
        _ key: String,
        _ acked: WrittenSequences
    ) async {
        for number in 0... {
            do {
                let receipt = try await leader.put(
                    "1",
                    for: "\(key)-\(number)",
                    ack: .wal,
                    replicas: .followers(1, at: .wal)
                )
                acked.add(receipt.position.sequence)
            } catch {
                return
            }
        }
    }
}

/// The sequences of writes that were acknowledged.
private final class WrittenSequences: @unchecked Sendable {
    private let lock = Lock()
    // The lock.
    private var added: [UInt64] = []

    /// In order.
    var sequences: [UInt64] { lock.with { added.sorted() } }

    func add(_ sequence: UInt64) { lock.with { added.append(sequence) } }
}

extension Member {
    /// Has every write gather that may, as where many are under way.
    fileprivate func gatherAlways() {
        for _ in 0..<gathering.fewMax { _ = gathering.enter() }
    }
}
