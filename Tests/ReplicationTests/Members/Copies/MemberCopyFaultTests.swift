import Glibc
import ReplicationTestSupport
import StorageEngineTestSupport
import Testing

@testable import Replication
@testable import StorageEngine

/// Copies on disks that fail, or have no room.
@Suite(.serialized) struct MemberCopyFaultTests {
    @Test func withoutRoomForChangesTheWholeStateIsOffered() async throws {
        let cluster = try MemberCluster(voters: 2)
        let disk = SimulatedFileSystem()
        cluster.disks[0] = disk
        cluster.options.engine.lowSpaceLimit = 3 << 20
        try await cluster.leaveBehind(values: 200, changed: 40)
        // Writes have room, and what has changed has not beside them.
        disk.capacity = disk.usedSpace + (6 << 20) + 300_000
        try cluster.open(1)
        try await cluster.waitUntilEqual()

        #expect(try cluster.haveSameContents(0, 1))
        try await MemberCluster.wait("it says so") { cluster.hasHappened("#0 changesNotCopied(") }
        #expect(!cluster.hasHappened("#1 copyingChanges("))
        let engine = try #require(try cluster[0].engine)
        #expect(engine.metrics.stallReason == nil)
        _ = try await cluster[0].put("1", for: "a", replicas: .followers(1, at: .disk))
    }

    @Test func changesThatDoNotGoWithTheStoreAreNotTakenAgain() async throws {
        let cluster = try MemberCluster(voters: 2)
        let disk = SimulatedFileSystem()
        cluster.disks[1] = disk
        try await cluster.leaveBehind(values: 200, changed: 10)
        // The store's segments cannot become part of another one.
        disk.inject(SimulatedFault(.link, errno: EIO, duration: .forever))
        try cluster.open(1)
        try await cluster.waitUntilEqual()

        #expect(try cluster.haveSameContents(0, 1))
        try await MemberCluster.wait("both came") {
            cluster.hasHappened("#1 copyingChanges(") && cluster.hasHappened("#1 copying(")
        }
    }

    @Test func aFullDiskHoldsUpACopyWithoutFillingTheMemory() async throws {
        let cluster = try MemberCluster(voters: 2)
        let disk = SimulatedFileSystem()
        cluster.disks[1] = disk
        cluster.options.settings.windowSize = 1 << 20
        cluster.options.settings.stallMax = 500
        let leader = try cluster.trimmedLeader(values: 6_000)
        let full = SimulatedFault(.write, errno: ENOSPC, duration: .forever) {
            $0.hasSuffix(".segment")
        }
        disk.inject(full)
        let follower = try cluster.open(1)
        var failures = 0
        for await event in follower.events {
            if case .storeFailed(let error) = event, error.code == .noSpace { failures += 1 }
            if failures == 20 { break }
        }
        #expect(follower.heldSize <= (1 << 20) + CopyFormat.partSize)
        #expect(UInt64(cluster.network.payloadCount(of: cluster.ids[0])) < 8)
        disk.removeFaults()
        try await cluster.waitUntilEqual()
        #expect(try MemberCluster.contents(follower) == (try MemberCluster.contents(leader)))
    }
}

extension Member {
    /// The bytes that wait to be stored.
    fileprivate var heldSize: UInt64 {
        lock.with {
            state.payloads.values.reduce(0) { sum, payload in
                if case .bytes(let bytes) = payload { sum + UInt64(bytes.count) } else { sum }
            }
        }
    }
}
