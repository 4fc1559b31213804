import ReplicationTestSupport
import StorageEngineTestSupport
import Testing

@testable import Replication
@testable import StorageEngine

/// Plain stores that become members.
@Suite(.serialized) struct MemberAdoptTests {
    private static let values = Dictionary(
        uniqueKeysWithValues: (0..<60).map { ("key \($0)", "value \($0)") }
    )

    /// A plain store with values in segments and in the log, closed.
    private func makeStore(at path: String, _ environment: Environment) throws {
        var options = Engine.Options.quiet
        options.createIfMissing = true
        let engine = try Engine.open(at: path, options: options, environment: environment)
        for (number, (key, value)) in Self.values.sorted(by: { $0.key < $1.key }).enumerated() {
            try engine.put(value, for: key, ack: .wal)
            if number == 30 { try engine.flush() }
        }
        try engine.close()
    }

    private func adopt(_ cluster: MemberCluster, _ index: Int, _ source: String) throws {
        try Member.adopt(
            storeAt: source,
            at: cluster.path(index),
            id: cluster.ids[index],
            membership: cluster.membership,
            options: cluster.options
        )
    }

    @Test func aPlainStoreGoesOnAsAReplicatedOne() async throws {
        let cluster = try MemberCluster(voters: 3)
        let source = cluster.directory.path + "/plain"
        try makeStore(at: source, .system())
        try adopt(cluster, 0, source)
        for index in 0..<3 { try cluster.open(index) }
        #expect(try cluster[0].status.activity != .leading)
        try await cluster[0].promote()
        _ = try await cluster[0].put("new", for: "key", replicas: .allFollowers(at: .applied))
        try await cluster.waitUntilEqual()
        for index in 0..<3 {
            let contents = try MemberCluster.contents(cluster[index])
            #expect(contents == Self.values.merging(["key": "new"]) { $1 })
        }
        // The plain store is what it was.
        var options = Engine.Options.quiet
        options.createIfMissing = false
        let plain = try Engine.open(at: source, options: options)
        #expect(try await plain.value(for: "key") == nil)
        #expect(try await plain.value(for: "key 7") == Array("value 7".utf8))
        #expect(plain.historyID == (try cluster[0].status.history))
        try await plain.close()
    }

    @Test func aSingleVoterLeadsWhatItAdopted() async throws {
        let cluster = try MemberCluster(voters: 1, failoverFollowers: 0)
        let source = cluster.directory.path + "/plain"
        try makeStore(at: source, .system())
        try adopt(cluster, 0, source)
        let member = try cluster.open(0)
        try await member.promote()
        _ = try await member.put("new", for: "key", ack: .disk)
        #expect(try MemberCluster.contents(member).count == Self.values.count + 1)
    }

    @Test func whatIsSomebodyElsesIsLeftAlone() async throws {
        let cluster = try MemberCluster(voters: 2)
        let source = cluster.directory.path + "/plain"
        try makeStore(at: source, .system())
        let members = try await cluster.start()
        _ = try await members[0].put("1", for: "a", replicas: .followers(1, at: .disk))
        try cluster.close(0)
        let before = try cluster.place(0).list()
        let member = #expect(throws: EngineError.self) { try adopt(cluster, 0, source) }
        #expect(member?.code == .invalidArgument)
        let other = #expect(throws: EngineError.self) {
            try Member.adopt(
                storeAt: source,
                at: cluster.path(0),
                id: UniqueID(high: 99, low: 99),
                membership: cluster.membership
            )
        }
        #expect(other?.code == .wrongStore)
        #expect(try cluster.place(0).list().known == before.known)
        #expect(try cluster.place(0).list().unknown == before.unknown)
        let store = #expect(throws: EngineError.self) {
            try Member.adopt(
                storeAt: source,
                at: source,
                id: cluster.ids[0],
                membership: cluster.membership
            )
        }
        #expect(store?.code == .invalidArgument)
        try cluster.open(0)
        try await cluster.waitUntilEqual()
    }

    @Test(arguments: SimulatedProfile.allCases)
    func everyCrashLeavesAMemberOrNone(profile: SimulatedProfile) throws {
        let disk = SimulatedFileSystem(profile: profile)
        try makeStore(at: "plain", environment(disk))
        let start = disk.traceEnd
        try adopt(on: disk)
        var counts = (members: 0, others: 0)
        try CrashSweep(disk, from: start, seed: 11).forEach { crash in
            let image = crash.image
            let isMember = try hasStore(image)
            if isMember { counts.members += 1 } else { counts.others += 1 }
            try check(image, isMember, crash.text)
        }
        #expect(counts.members > 0 && counts.others > 20)
        #expect(try hasStore(disk.crashed(.none)))
    }

    /// Whatever a crash left: the plain store is whole, and the member has all of it, or the next
    /// attempt gives it that.
    private func check(_ image: SimulatedFileSystem, _ isMember: Bool, _ what: String) throws {
        if !isMember { try adopt(on: image) }
        for (path, isFollowing) in [("plain", false), ("member/store-0000000001", true)] {
            var options = Engine.Options.quiet
            options.createIfMissing = false
            options.isMember = isFollowing
            let engine = try Engine.open(
                at: path,
                options: options,
                environment: environment(image)
            )
            for (key, value) in Self.values {
                #expect(try engine.value(for: key) == Array(value.utf8), "\(what): \(path)")
            }
            try engine.close()
        }
        let member = try Member.open(
            at: "member",
            id: Self.id,
            membership: Membership(voters: [Self.id], failoverFollowers: 0),
            links: LocalNetwork().links(of: Self.id),
            options: MemberOptions(),
            environment: environment(image)
        )
        #expect(member.engine?.lastSequence == UInt64(Self.values.count), "\(what)")
        #expect(member.status.isSuspect, "\(what)")
        try member.close()
    }

    private static let id = UniqueID(high: 5, low: 5)

    private func hasStore(_ image: SimulatedFileSystem) throws -> Bool {
        guard image.names(inDirectory: "member", .cached) != nil else { return false }
        let directory = try StoreDirectory.open(path: "member", in: image)
        return try MemberFile.read(in: directory)?.storeNumber == 1
    }

    private func adopt(on disk: SimulatedFileSystem) throws {
        var options = MemberOptions()
        options.engine = .quiet
        try Member.adopt(
            storeAt: "plain",
            at: "member",
            id: Self.id,
            membership: Membership(voters: [Self.id], failoverFollowers: 0),
            options: options,
            environment: environment(disk)
        )
    }

    private func environment(_ disk: SimulatedFileSystem) -> Environment {
        let system = Environment.system()
        return Environment(
            fileSystem: disk,
            time: system.time,
            entropy: system.entropy,
            startsThreads: true
        )
    }

    @Test func aMemberThatWasNotMadeWholeBeginsItsOwnHistory() throws {
        let disk = SimulatedFileSystem()
        try makeStore(at: "plain", environment(disk))
        // Everything but the last: the copy is there, and MEMBER does not name it.
        let fault = SimulatedFault(.rename, errno: 5, occurrence: 2, duration: .forever) {
            $0.hasPrefix("MEMBER")
        }
        disk.inject(fault)
        #expect(throws: EngineError.self) { try adopt(on: disk) }
        disk.removeFaults()
        #expect(disk.names(inDirectory: "member", .cached)?.contains("store-0000000001") == true)
        var options = MemberOptions()
        options.engine = .quiet
        let member = try Member.open(
            at: "member",
            id: Self.id,
            membership: Membership(voters: [Self.id], failoverFollowers: 0),
            links: LocalNetwork().links(of: Self.id),
            options: options,
            environment: environment(disk)
        )
        try member.bootstrap()
        #expect(try member.engine?.value(for: "key 7") == nil)
        _ = try member.put("1", for: "a", ack: .disk)
        try member.close()
    }
}
