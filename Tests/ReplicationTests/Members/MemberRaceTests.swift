import Glibc
import ReplicationTestSupport
import StorageEngineTestSupport
import Testing

@testable import Replication
@testable import StorageEngine

/// What comes between two steps of a member, held there by the test.
@Suite(.serialized) struct MemberRaceTests {
    /// The second member is played by the test: it has promised itself before the first one's store
    /// accepts writes.
    @Test func aBeginningThatAnotherLeaderOvertakesEnds() async throws {
        let cluster = try MemberCluster(voters: 3)
        let member = try cluster.open(0)
        let links = cluster.network.links(of: cluster.ids[1])
        let (mayGoOn, isRefused) = (Stop(), Stop())
        member.storeJobs.submit { while !mayGoOn.isSet { usleep(1_000) } }
        let beginning = WorkerThread(name: "beginning") {
            do throws(ReplicationError) {
                try member.bootstrap()
            } catch {
                if error == .notNew { isRefused.set() }
            }
        }
        try await MemberCluster.wait("it leads, and its store does not") {
            member.lock.with {
                member.state.core.leadership != nil && !member.state.isPersisting
            }
        }
        let history = try #require(member.status.history)
        let term = cluster.membership.term(after: 0, of: cluster.ids[1])
        let epoch = Epoch(term: term, starter: 1)
        let consult = Consult(history: history, nonce: 1, epoch: epoch)

        links.send(Packet(message: .consult(consult), payload: []), to: cluster.ids[0])?()
        beginning.join()
        mayGoOn.set()

        #expect(isRefused.isSet)
        #expect(member.status.promised == epoch && member.status.activity != .leading)
        #expect(throws: ReplicationError.self) { try member.put("1", for: "a") }
    }

    /// What a position of another term means is not known in this one.
    @Test func aBarrierOfAnotherTermIsNotAcknowledged() async throws {
        let cluster = try MemberCluster(voters: 2)
        let members = try await cluster.start()
        let old = try await members[0].put("1", for: "a", replicas: .followers(1, at: .disk))
        try await members[1].promote()
        try await cluster.waitUntilEqual()
        let new = try await members[1].put("2", for: "a", replicas: .followers(1, at: .disk))
        try #require(old.position.epoch.term < new.position.epoch.term)

        for (position, isAcked) in [(old.position, false), (new.position, true)] {
            let (_, pending) = members[1].enroll(position, .wal, .followers(1, at: .received))
            let outcome = members[1].lock.with { pending.block(members[1].lock) }
            if case .acked = outcome {
                #expect(isAcked)
            } else {
                #expect(!isAcked)
            }
        }
    }

    /// While a copy is checked the store fails, and the member begins anew: the copy is not for the
    /// store that there is then, until it is offered again.
    @Test func aCopyThatARestartOvertakesIsAdoptedByTheNextAttempt() async throws {
        let cluster = try MemberCluster(voters: 2)
        let disk = SimulatedFileSystem()
        cluster.disks[1] = disk
        _ = try cluster.trimmedLeader(values: 3_000)
        let (isHeld, mayGoOn) = (Stop(), Stop())
        // Nobody reads it before it is whole.
        disk.inject(
            SimulatedFault(.read, errno: EIO, duration: .forever) { name in
                guard name.hasSuffix(".segment"), !mayGoOn.isSet else { return false }
                isHeld.set()
                while !mayGoOn.isSet { usleep(1_000) }
                return false
            }
        )
        let follower = try cluster.open(1)
        try await MemberCluster.wait("the copy is checked") { isHeld.isSet }
        let replaced = try #require(follower.engine)
        follower.lock.with { follower.restart(for: EngineError(.io, "a test")) }
        mayGoOn.set()
        try await cluster.waitUntilEqual()

        #expect(try cluster.haveSameContents(0, 1))
        #expect(follower.engine !== replaced)
        let sent = cluster.network.payloadCount(of: cluster.ids[0])
        #expect((12...18).contains(sent), "every part came once, of a dozen")
        // What was adopted is what is found again.
        try cluster.close(1)
        try cluster.open(1)
        try await cluster.waitUntilEqual()
        #expect(try cluster.haveSameContents(0, 1))
    }

    @Test func aMemberWhoseStoreFailsAsItIsClosedCanBeOpenedAgain() async throws {
        let cluster = try MemberCluster(voters: 2)
        let disk = SimulatedFileSystem()
        cluster.disks[0] = disk
        let members = try await cluster.start()
        _ = try await members[0].put("1", for: "a", replicas: .followers(1, at: .disk))
        _ = try await members[0].put("2", for: "b", ack: .memory)
        disk.inject(
            SimulatedFault(.dataSync, errno: EIO, duration: .forever) { $0.hasSuffix(".log") }
        )
        let error = #expect(throws: EngineError.self) { try cluster.close(0) }
        #expect(error?.errno == EIO)
        disk.removeFaults()

        let again = try cluster.open(0)
        #expect(again.status.isSuspect && again.status.activity != .leading)
        try await cluster.waitUntilEqual()
        #expect(try MemberCluster.contents(again)["a"] == "1")
    }

    /// The first record of an epoch needs a log file of its own.
    @Test func whatCannotBeTakenInAtOnceIsTakenInAllTheSame() async throws {
        let cluster = try MemberCluster(voters: 3)
        let members = try await cluster.start()
        for number in 1...100 {
            try await members[0].put(
                "\(number)",
                for: "a",
                ack: .wal,
                replicas: .followers(2, at: .wal)
            )
        }
        try await cluster.waitUntilEqual()
        #expect(!cluster.hasHappened("storeFailed("))
    }
}
