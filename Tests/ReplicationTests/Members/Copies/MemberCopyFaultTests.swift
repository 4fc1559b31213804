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
        cluster.options.engine.lowSpaceLimit = 8 << 20
        try await cluster.leaveBehind(values: 200, changed: 40)
        // Writes have room, and what has changed has not beside them.
        disk.capacity = disk.usedSpace + (12 << 20)
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

    @Test func aCopySurvivesADiskThatFailsWhileItIsAdopted() async throws {
        let cluster = try MemberCluster(voters: 2)
        let disk = SimulatedFileSystem()
        cluster.disks[1] = disk
        _ = try cluster.trimmedLeader(values: 3_000)
        // Nobody reads it before it is whole; a read that fails is tried again at once.
        for occurrence in [1, 2, 6, 7] {
            disk.inject(
                SimulatedFault(.read, errno: EIO, occurrence: occurrence) { name in
                    name.hasSuffix(".segment")
                }
            )
        }
        try cluster.open(1)
        try await cluster.waitUntilEqual()

        #expect(try cluster.haveSameContents(0, 1))
        #expect(disk.injectedFaultCount == 4)
        let sent = cluster.network.payloadCount(of: cluster.ids[0])
        #expect((12...18).contains(sent), "every part came once, of a dozen")
        try await MemberCluster.wait("it was told") { cluster.hasHappened("#1 storeFailed(io") }
    }

    @Test func aFileWhoseSyncFailsComesAgain() async throws {
        let cluster = try MemberCluster(voters: 2)
        let disk = SimulatedFileSystem()
        cluster.disks[1] = disk
        let leader = try cluster.trimmedLeader(values: 1_000)
        // The mark is synced when it has come, and again when all is checked.
        disk.inject(SimulatedFault(.dataSync, errno: EIO, occurrence: 2) { $0 == "STORE" })
        try cluster.open(1)
        try await cluster.waitUntilEqual()
        let image = disk.crashed(.none)
        cluster.kill(1)
        cluster.disks[1] = image
        try cluster.open(1)
        #expect(
            try MemberCluster.contents(cluster[1]) == (try MemberCluster.contents(leader))
        )
    }

    @Test func aCopyThatIsNotWhatWasOfferedIsNeverTheStore() async throws {
        let cluster = try MemberCluster(voters: 2)
        _ = try cluster.trimmedLeader(values: 600)
        cluster.network.setChange { packet in
            guard case .offer(let session, var offer) = packet.message else { return packet }
            offer.log = LogOutline(table: offer.log.table, tail: offer.log.tail.damaged)
            return Packet(message: .offer(session: session, offer), payload: [])
        }
        try cluster.open(1)
        try await MemberCluster.wait("it is refused") {
            cluster.hasHappened("#1 storeFailed(diverged")
        }
        #expect(try MemberFile.read(in: cluster.place(1))?.storeNumber == 1)
        cluster.network.setChange { $0 }
        try await cluster.waitUntilEqual()
        #expect(try cluster.haveSameContents(0, 1))
    }

    @Test(arguments: [CopyOffer.Kind.base, .delta])
    func aCrashNeverTakesBackHowFarACopyHasCome(kind: CopyOffer.Kind) async throws {
        let cluster = try MemberCluster(voters: 2)
        let disk = SimulatedFileSystem()
        cluster.disks[1] = disk
        var start = 0
        switch kind {
        case .base: _ = try cluster.trimmedLeader(values: 600)
        case .delta:
            try await cluster.leaveBehind(values: 200, changed: 30)
            start = disk.traceEnd
        }
        let old = try MemberFile.read(in: StoreDirectory.make(path: "member", in: disk))
        try cluster.open(1)
        try await cluster.waitUntilEqual()
        cluster.kill(1)

        for policy in [CrashPolicy.all, .none] {
            var reached: UInt64 = 0
            try CrashSweep(disk, from: start, seed: 12, policies: [policy]).forEach { crash in
                let now = try progress(crash.image, since: old?.storeNumber ?? 0)
                #expect(now >= reached, "\(crash.text)")
                reached = max(now, reached)
            }
            #expect(reached == .max, "it is the store in the end")
        }
    }

    /// How many parts of a copy a disk holds; the most that there can be once it is the store.
    private func progress(_ image: SimulatedFileSystem, since number: UInt64) throws -> UInt64 {
        guard image.names(inDirectory: "member", .cached) != nil else { return 0 }
        let directory = try StoreDirectory.open(path: "member", in: image)
        guard let record = try MemberFile.read(in: directory) else { return 0 }
        if record.storeNumber > max(number, 1) {
            _ = try Engine.history(
                at: "member/\(MemberDirectory.store(record.storeNumber))",
                options: .quiet,
                environment: Environment(
                    fileSystem: image,
                    time: SystemTime(),
                    entropy: { 1 },
                    startsThreads: false
                )
            )
            return .max
        }
        let copy = IncomingCopy(directory: directory, number: record.storeNumber + 1)
        return try copy.restore()?.next ?? 0
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

extension Tail {
    /// Another record at the same place.
    fileprivate var damaged: Tail { Tail(epoch: epoch, sequence: sequence, logHash: ~logHash) }
}
