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
}
