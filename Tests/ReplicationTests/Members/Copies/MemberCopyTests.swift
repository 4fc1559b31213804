import ReplicationTestSupport
import StorageEngineTestSupport
import Testing

@testable import Replication
@testable import StorageEngine

/// Members that are too far behind, or have lost what they had, on real stores.
@Suite(.serialized) struct MemberCopyTests {
    @Test func aNewFollowerIsCopiedWhatTheLogDoesNotHave() async throws {
        let cluster = try MemberCluster(voters: 2)
        let leader = try cluster.trimmedLeader(values: 600)
        let follower = try cluster.open(1)
        try await cluster.waitUntilEqual()
        #expect(try MemberCluster.contents(follower) == (try MemberCluster.contents(leader)))
        let receipt = try await leader.put("1", for: "a", replicas: .followers(1, at: .disk))
        #expect(receipt.followers(at: .disk) == 1)
        // What it was copied is its store from then on.
        try cluster.close(1)
        let again = try cluster.open(1)
        try await cluster.waitUntilEqual()
        #expect(try MemberCluster.contents(again) == (try MemberCluster.contents(leader)))
        #expect(try MemberFile.read(in: cluster.place(1))?.storeNumber == 2)
        #expect(try cluster.place(1).list().unknown == [MemberDirectory.store(2)])
    }

    /// A leader of two voters, and the other one, which died when so many parts had come.
    private func brokenOff(values: Int, parts: Int) async throws -> MemberCluster {
        let cluster = try MemberCluster(voters: 2)
        cluster.options.copyRate = 4 << 20
        _ = try cluster.trimmedLeader(values: values)
        try cluster.open(1)
        try await MemberCluster.wait("some of it has come") {
            cluster.network.payloadCount(of: cluster.ids[0]) >= parts
        }
        cluster.kill(1)
        return cluster
    }

    @Test func aCopyGoesOnWhereItWasBrokenOff() async throws {
        let cluster = try await brokenOff(values: 6_000, parts: 10)
        let before = cluster.network.payloadCount(of: cluster.ids[0])
        let parts = try #require(try partial(of: cluster, 1))
        #expect(parts.next > 0)
        try cluster.open(1)
        try await cluster.waitUntilEqual()
        #expect(
            try MemberCluster.contents(cluster[1]) == (try MemberCluster.contents(cluster[0]))
        )
        let sent = cluster.network.payloadCount(of: cluster.ids[0]) - before
        #expect(UInt64(sent) <= parts.offer.partCount - parts.next + 4)
    }

    private func partial(of cluster: MemberCluster, _ index: Int) throws -> PartialCopy? {
        try IncomingCopy(directory: cluster.place(index), number: 2).restore()
    }

    @Test func whoIsTooFarBehindGetsWhatHasChanged() async throws {
        let cluster = try MemberCluster(voters: 2)
        try await cluster.leaveBehind(values: 3_000, changed: 40)
        let before = cluster.network.payloadCount(of: cluster.ids[0])
        let follower = try cluster.open(1)
        try await cluster.waitUntilEqual()
        #expect(try MemberCluster.contents(follower) == (try MemberCluster.contents(cluster[0])))
        #expect(try MemberFile.read(in: cluster.place(1))?.storeNumber == 4)
        #expect(try cluster.place(1).list().unknown == [MemberDirectory.store(4)])
        // All of it would be a dozen parts.
        #expect(cluster.network.payloadCount(of: cluster.ids[0]) - before <= 7)
        _ = try await cluster[0].put("1", for: "a", replicas: .followers(1, at: .disk))
        try await MemberCluster.wait("changes came") { cluster.hasHappened("#1 copyingChanges(") }
        try cluster.close(1)
        try cluster.open(1)
        try await cluster.waitUntilEqual()
        #expect(
            try MemberCluster.contents(cluster[1]) == (try MemberCluster.contents(cluster[0]))
        )
    }

    @Test func changesGoOnWhereTheyWereBrokenOff() async throws {
        let cluster = try MemberCluster(voters: 2)
        try await cluster.leaveBehind(values: 600, changed: 40)
        var generator = SeededGenerator(seed: 9)
        for number in 0..<2_000 {
            let value = (0..<1_000).map { _ in UInt8.random(in: 0...255, using: &generator) }
            _ = try await cluster[0].put(value, for: "new \(number)", ack: .wal)
        }
        let before = cluster.network.payloadCount(of: cluster.ids[0])
        cluster.network.setDelay(milliseconds: 40)
        try cluster.open(1)
        try await MemberCluster.wait("some of it has come") {
            cluster.network.payloadCount(of: cluster.ids[0]) - before >= 4
        }
        cluster.kill(1)
        let first = cluster.network.payloadCount(of: cluster.ids[0])
        let partial = try IncomingCopy(directory: cluster.place(1), number: 3).restore()
        cluster.network.setDelay(milliseconds: 0)
        try cluster.open(1)
        try await cluster.waitUntilEqual()
        #expect(
            try MemberCluster.contents(cluster[1]) == (try MemberCluster.contents(cluster[0]))
        )
        if let partial, partial.next < partial.offer.partCount {
            #expect(partial.offer.kind == .delta)
            let sent = cluster.network.payloadCount(of: cluster.ids[0]) - first
            #expect(UInt64(sent) <= partial.offer.partCount - partial.next + 4)
        }
    }

    @Test func whoIsTooFarBehindForChangesGetsEverything() async throws {
        let cluster = try MemberCluster(voters: 2)
        try await cluster.leaveBehind(values: 300, changed: 40)
        // Nobody knows any more what was deleted.
        let engine = try #require(try cluster[0].engine)
        try await engine.compact()
        let follower = try cluster.open(1)
        try await cluster.waitUntilEqual()
        #expect(try MemberCluster.contents(follower) == (try MemberCluster.contents(cluster[0])))
        #expect(try MemberFile.read(in: cluster.place(1))?.storeNumber == 3)
        #expect(!cluster.hasHappened("#1 copyingChanges("))
    }

    @Test func whoTakesACopyDoesNotWaitForAnotherThatIsMade() async throws {
        let cluster = try MemberCluster(voters: 3)
        let gate = Gate()
        cluster.entropy[0] = {
            gate.pass()
            return Environment.system().entropy()
        }
        cluster.options.copyRate = 400_000
        try await cluster.leaveBehind(values: 300, changed: 40)
        try cluster.open(1)
        try await MemberCluster.wait("some of it has come") {
            cluster.hasHappened("#1 copyingChanges(")
        }
        // Everything for the new one is made, and named, which takes until the gate is open.
        gate.close()
        defer { gate.open() }
        try cluster.open(2)
        try await MemberCluster.wait("a copy is being made") { gate.isHolding }
        try await MemberCluster.wait("the other one is there") {
            try cluster.haveSameLog(0, 1)
        }
        #expect(gate.isHolding)
        #expect(try cluster.haveSameContents(0, 1))
        gate.open()
        try await cluster.waitUntilEqual()
        #expect(try cluster.haveSameContents(0, 2))
    }

    @Test func noCopyIsMadeForWhoIsGone() throws {
        let cluster = try MemberCluster(voters: 2)
        let leader = try cluster.trimmedLeader(values: 10)
        let open = CoreAction.openCopy(session: 99, since: .zero, resuming: nil, isWhole: true)
        leader.performCopy(open, 0)
        #expect(leader.engine?.slots.isEmpty == true)
        #expect(try cluster.place(0).list().unknown == [MemberDirectory.store(1)])
    }

    @Test func aDamagedCopyIsNotAdopted() async throws {
        let cluster = try await brokenOff(values: 4_000, parts: 6)
        let copy = try cluster.place(1).subdirectory(MemberDirectory.store(2))
        let names = try copy.list().known.filter { if case .segment = $0 { true } else { false } }
        let name = try #require(names.first)
        let file = try copy.open(name, for: .readWrite)
        let byte = try file.read(count: 1, at: 1_000)
        try file.writeFully([byte[0] ^ 1], at: 1_000)
        let follower = try cluster.open(1)
        let events = follower.events
        try await cluster.waitUntilEqual()
        #expect(try MemberCluster.contents(follower) == (try MemberCluster.contents(cluster[0])))
        var hasFailed = false
        for await event in events {
            if case .storeFailed(let error) = event, error.code == .corruption { hasFailed = true }
            if hasFailed { break }
        }
        #expect(hasFailed)
    }

    @Test func anEmptiedVoterIsNotTakenForWhatItWas() async throws {
        let cluster = try MemberCluster(voters: 3)
        let members = try await cluster.start()
        _ = try await members[0].put("1", for: "a", replicas: .allFollowers(at: .disk))
        try await MemberCluster.wait("nobody is suspect") {
            members.allSatisfy { !$0.status.isSuspect }
        }
        try cluster.close(2)
        try cluster.empty(2)
        let refused = #expect(throws: EngineError.self) {
            try cluster.open(2) { $0.createIfMissing = false }
        }
        #expect([.notAStore, .io].contains(refused?.code))
        // Whoever insists gets a member that says that it may lack something.
        cluster.network.isolate(cluster.ids[2], from: cluster.ids)
        let empty = try cluster.open(2)
        #expect(empty.status.isSuspect)
        #expect(empty.status.history == nil)
        cluster.network.heal()
        try await cluster.waitUntilEqual()
        try await MemberCluster.wait("it has caught up") { !empty.status.isSuspect }
        #expect(try MemberCluster.contents(members[0]) == ["a": "1"])
        #expect(try MemberCluster.contents(empty) == ["a": "1"])
        _ = try await members[0].put("2", for: "a", replicas: .allFollowers(at: .disk))
    }

    @Test func anEmptiedLeaderBeginsNoSecondHistory() async throws {
        let cluster = try MemberCluster(voters: 3)
        let members = try await cluster.start()
        _ = try await members[0].put("1", for: "a", replicas: .allFollowers(at: .disk))
        let history = members[1].status.history
        try cluster.close(0)
        try cluster.empty(0)
        let empty = try cluster.open(0)
        let error = #expect(throws: ReplicationError.self) {
            try empty.bootstrap(asking: .seconds(60))
        }
        guard case .historyFound = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(empty.status.history == nil)
        // It is fed like any other, once somebody leads.
        try await cluster[1].promote()
        try await cluster.waitUntilEqual()
        #expect(cluster.members.allSatisfy { $0?.status.history == history })
        #expect(try MemberCluster.contents(empty) == ["a": "1"])
    }

    @Test func whoAsksAndIsAloneBeginsInTheEnd() throws {
        let cluster = try MemberCluster(voters: 3)
        let member = try cluster.open(0)
        try member.bootstrap(asking: .milliseconds(300))
        #expect(member.status.activity == .leading)
        let again = #expect(throws: ReplicationError.self) {
            try member.bootstrap(asking: .milliseconds(300))
        }
        #expect(again == .notNew)
    }

    @Test func aVoterRestoredFromABackupCatchesUpBeforeItCounts() async throws {
        let cluster = try MemberCluster(voters: 3)
        let members = try await cluster.start()
        _ = try await members[0].put("1", for: "a", replicas: .allFollowers(at: .disk))
        let backups = cluster.directory.path + "/backups"
        let engine = try #require(members[0].engine)
        try await engine.backup(to: backups)
        for number in 2...40 {
            _ = try await members[0].put("\(number)", for: "a", replicas: .followers(2, at: .disk))
        }
        // The leader's store is an older one when it is opened again.
        try cluster.close(0)
        let place = try cluster.place(0)
        try place.removeTree(MemberDirectory.store(1))
        _ = try BackupDirectory(path: backups).restore(
            to: "\(cluster.path(0))/\(MemberDirectory.store(1))"
        )
        let restored = try cluster.open(0)
        #expect(restored.status.activity != .leading)
        #expect(restored.status.isSuspect)
        try await cluster[1].promote()
        try await cluster.waitUntilEqual()
        #expect(try MemberCluster.contents(restored) == ["a": "40"])
        try await MemberCluster.wait("it has caught up") { !restored.status.isSuspect }
    }

    @Test func anotherMembersDirectoryIsRefused() async throws {
        let cluster = try MemberCluster(voters: 2)
        try cluster.open(0)
        // A member that ends before it has said anything leaves an empty directory.
        try await MemberCluster.wait("the directory is the member's") {
            try MemberFile.read(in: cluster.place(0)) != nil
        }
        try cluster.close(0)
        let error = #expect(throws: EngineError.self) {
            try Member.open(
                at: cluster.path(0),
                id: cluster.ids[1],
                membership: cluster.membership,
                links: cluster.network.links(of: cluster.ids[1]),
                options: cluster.options
            )
        }
        #expect(error?.code == .wrongStore)
    }

    @Test func aMemberIsOpenOnce() throws {
        let cluster = try MemberCluster(voters: 2)
        try cluster.open(0)
        let error = #expect(throws: EngineError.self) { try cluster.open(0) }
        #expect(error?.code == .locked)
    }
}

/// Holds whoever passes while it is closed.
///
/// Thread safety: every method may be called from any thread.
private final class Gate: @unchecked Sendable {
    private let lock = Lock()
    private let condition = Condition()
    // The lock.
    private var isClosed = false
    private var waiting = 0

    var isHolding: Bool { lock.with { waiting > 0 } }

    func close() { lock.with { isClosed = true } }

    func open() {
        lock.with {
            isClosed = false
            condition.broadcast()
        }
    }

    func pass() {
        lock.with {
            waiting += 1
            while isClosed { condition.wait(lock) }
            waiting -= 1
        }
    }
}
