import Foundation
import Replication
import StorageEngine
import Testing

@testable import NodeService
@testable import ReplicationTransport

/// Nodes that are members of one store, over real sockets.
@Suite(.timeLimit(.minutes(3))) struct MemberNodeTests {
    private static func demand(_ replicas: Requirement) -> WriteDemand {
        var demand = WriteDemand()
        demand.replicas = replicas
        return demand
    }

    /// A node behind its HTTP surface.
    private static func server(_ node: any Node) throws -> HTTPServer {
        let address = NetworkAddress(host: "127.0.0.1", port: 0)
        return try HTTPServer(node, HTTPServer.Options(address: address))
    }

    private static func send(
        _ method: String,
        _ path: String,
        body: String = "",
        to server: HTTPServer
    ) async throws -> TestAnswer {
        let address = NetworkAddress(host: "127.0.0.1", port: server.port)
        let call = HTTPCall(address: address, token: nil)
        let answer = try await call.send(method, path, body: Array(body.utf8))
        return TestAnswer(status: answer.status, body: answer.body)
    }

    @Test func aWriteReachesAsManyFollowersAsItAsksFor() async throws {
        let cluster = try NodeCluster(3)
        let nodes = try await cluster.start()

        let receipt = try await nodes[0].write(
            try .putting("Ada", for: "user"),
            Self.demand(.allFollowers(at: .disk))
        )

        #expect(receipt.local == .disk && !receipt.isDegraded)
        #expect(receipt.followers[2] == 2)
        for node in nodes {
            let value = try await node.value(for: Array("user".utf8), after: receipt.position)
            #expect(value == Array("Ada".utf8))
        }
        try await cluster.end()
    }

    @Test func theStatusShowsEveryMember() async throws {
        let cluster = try NodeCluster(3, voters: 2)
        let nodes = try await cluster.start()
        _ = try await nodes[0].write(
            try .putting("1", for: "a"),
            Self.demand(.allFollowers(at: .applied))
        )
        let server = try Self.server(nodes[0])
        defer { server.stop() }

        let answer = try await Self.send("GET", "/status", to: server)
        let status = try #require(try answer.objects().first)
        let members = try #require(status["members"] as? [[String: Any]])
        let metrics = try await Self.send("GET", "/metrics", to: server)

        #expect(status["leader"] as? String == "\(cluster.ids[0])")
        #expect(members.map { $0["role"] as? String } == ["leader", "voter", "observer"])
        #expect(members.allSatisfy { $0["connected"] as? Bool == true })
        #expect(members.allSatisfy { ($0["address"] as? String)?.hasPrefix("127.0.0.1:") == true })
        #expect(members[1]["lagSequences"] as? Int == 0)
        #expect(status["missing"] as? [String] == [])
        #expect(metrics.text.contains("storage_engine_node_leader 1\n"))
        #expect(metrics.text.contains("storage_engine_network_sent_packets_total "))
        try await cluster.end()
    }

    @Test func theSurfaceSaysHonestlyWhatWasReached() async throws {
        let cluster = try NodeCluster(3)
        cluster.options.shortfall = .fail(after: .milliseconds(300))
        let nodes = try await cluster.start()
        let (leader, follower) = (try Self.server(nodes[0]), try Self.server(nodes[1]))
        defer { leader.stop() }
        defer { follower.stop() }
        try await cluster.close(2)

        let one = try await Self.send("PUT", "/kv/a?followers=1&at=disk", body: "1", to: leader)
        let short = try await Self.send("PUT", "/kv/b?followers=all", body: "2", to: leader)
        let many = try await Self.send("PUT", "/kv/c?followers=3", body: "3", to: leader)
        let astray = try await Self.send("PUT", "/kv/d", body: "4", to: follower)

        #expect(one.status == 200)
        #expect(short.status == 504, "it is there, and may stay")
        let problem = try #require(try short.objects().first)
        let receipt = try #require(problem["receipt"] as? [String: Any])
        let reached = try #require(receipt["followers"] as? [String: Any])
        #expect(problem["error"] as? String == "indeterminate")
        #expect(receipt["reached"] as? String == "disk" && reached["disk"] as? Int == 1)
        #expect(many.status == 400)
        #expect(try many.error == "tooManyFollowers")
        #expect(astray.status == 421)
        #expect(try astray.objects().first?["leader"] as? String == "\(cluster.ids[0])")
        try await cluster.end()
    }

    @Test func theStatusNamesWhoHoldsWritesUp() async throws {
        let cluster = try NodeCluster(3)
        cluster.options.shortfall = .wait
        let nodes = try await cluster.start()
        let server = try Self.server(nodes[0])
        defer { server.stop() }
        try await cluster.close(2)

        let write = Task {
            try await Self.send("PUT", "/kv/a?followers=all", body: "1", to: server)
        }
        let waiting = NodeStatus.Shortfall.waiting(writes: 1, blockers: [cluster.ids[2]])
        try await cluster.wait(0) { $0.shortfall == waiting }
        try cluster.open(2)

        #expect(try await write.value.status == 200)
        try await cluster.wait(0) { $0.shortfall == .none }
        try await cluster.end()
    }

    @Test func aDegradedStoreSaysSo() async throws {
        let cluster = try NodeCluster(3)
        cluster.options.shortfall = .degrade(floor: 1, after: .milliseconds(100))
        let nodes = try await cluster.start()
        let server = try Self.server(nodes[0])
        defer { server.stop() }
        try await cluster.close(2)

        let write = try await Self.send("PUT", "/kv/a?followers=2&at=wal", body: "1", to: server)
        let status = try await Self.send("GET", "/status", to: server)
        let metrics = try await Self.send("GET", "/metrics", to: server)

        #expect(write.status == 200 && write.text.contains(#""degraded":true"#))
        #expect(status.text.contains(#""shortfall":{"state":"degraded","followers":1}"#))
        #expect(metrics.text.contains("storage_engine_node_degraded 1\n"))
        try cluster.open(2)
        try await cluster.wait(0) { $0.shortfall == .none }
        try await cluster.end()
    }

    @Test func whoReadsAfterAPositionWaitsForIt() async throws {
        let cluster = try NodeCluster(2)
        let nodes = try await cluster.start()
        let server = try Self.server(nodes[1])
        defer { server.stop() }

        for number in 1...20 {
            let receipt = try await nodes[0].write(
                try .putting("\(number)", for: "counter"),
                WriteDemand()
            )
            let path = "/kv/counter?after=\(receipt.position)"
            #expect(try await Self.send("GET", path, to: server).text == "\(number)")
        }

        // An epoch that this history does not have.
        let astray = "/kv/counter?after=1-0000000000000001:5"
        let never = try await Self.send("GET", astray, to: server)
        #expect(never.status == 409)
        #expect(try never.error == "diverged")
        try await cluster.end()
    }

    @Test func aFollowerIsPromotedAndTheOldLeaderFollowsIt() async throws {
        let cluster = try NodeCluster(3)
        let nodes = try await cluster.start()
        _ = try await nodes[0].write(
            try .putting("old", for: "a"),
            Self.demand(.followers(1, at: .disk))
        )

        try await nodes[1].promote(acceptLoss: false)
        try await cluster.settle(leader: 1)
        let receipt = try await nodes[1].write(
            try .putting("new", for: "a"),
            Self.demand(.followers(2, at: .applied))
        )

        #expect(receipt.followers[3] == 2)
        for node in nodes {
            #expect(try await node.value(for: Array("a".utf8), after: nil) == Array("new".utf8))
        }
        await #expect(throws: ReplicationError.notLeader(hint: cluster.ids[1])) {
            try await nodes[0].write(try .putting("x", for: "b"), WriteDemand())
        }
        try await cluster.end()
    }

    @Test func aMemberWithoutAHistorySaysSo() async throws {
        let cluster = try NodeCluster(2)
        let node = try cluster.open(1)
        let server = try Self.server(node)
        defer { server.stop() }

        let health = try await Self.send("GET", "/health", to: server)
        let read = try await Self.send("GET", "/kv/a", to: server)
        let promotion = try await Self.send("POST", "/promote", to: server)

        #expect(health.status == 503 && read.status == 503 && promotion.status == 409)
        #expect(await node.status().history == nil)
        try await cluster.end()
    }

    @Test func aLeaderThatWasClosedLeadsAgainAndBeginsNothingNew() async throws {
        let cluster = try NodeCluster(2)
        let nodes = try await cluster.start()
        let history = await nodes[0].status().history
        _ = try await nodes[0].write(
            try .putting("1", for: "a"),
            Self.demand(.followers(1, at: .disk))
        )
        try await cluster.close(0)

        let again = try cluster.open(0)
        try await again.beginHistory(asking: .zero)
        try await cluster.settle(leader: 0)

        #expect(await again.status().history == history)
        #expect(try await again.value(for: Array("a".utf8), after: nil) == Array("1".utf8))
        try await cluster.end()
    }

    @Test func membersShowEachOtherCertificates() async throws {
        let authority = try TestAuthority()
        let names = ["one", "two", "three"]
        for name in names { try authority.issue(name, name: "DNS:\(name).test") }
        let ids = (1...3 as ClosedRange<UInt64>).map { UniqueID(high: $0, low: 9) }
        let allowed = Dictionary(
            uniqueKeysWithValues: zip(names.map { "\($0).test" }, ids)
        )
        let cluster = try NodeCluster(3) { index in
            .tls(authority.files(names[index], members: allowed))
        }
        let nodes = try await cluster.start()

        let receipt = try await nodes[0].write(
            try .putting("secret", for: "a"),
            Self.demand(.followers(2, at: .disk))
        )
        try nodes[0].reload()

        #expect(receipt.followers[2] == 2)
        try await cluster.end()
    }

    @Test func aProgramOpensMembersWithoutAService() async throws {
        let cluster = try NodeCluster(2)
        cluster.options.createIfMissing = true
        let membership = try Membership(voters: cluster.ids)
        let members = try cluster.ids.indices.map { index in
            try Member.open(
                at: cluster.path(index),
                id: cluster.ids[index],
                membership: membership,
                network: cluster.network(index),
                options: cluster.options
            )
        }
        try members[0].bootstrap()
        while members[1].status.activity != .following {
            try await Task.sleep(for: .milliseconds(5))
        }

        let receipt = try await members[0].put(
            "Ada",
            for: "user",
            replicas: .followers(1, at: .applied)
        )
        let snapshot = try await members[1].read(after: receipt.position)
        try members[0].reloadCertificates()

        #expect(try snapshot.value(for: "user") == Array("Ada".utf8))
        for member in members { try member.close() }
        for member in members { try member.close() }
    }

    @Test func aVoterWithoutAnAddressIsRefused() throws {
        let cluster = try NodeCluster(2)
        let error = #expect(throws: EngineError.self) {
            try Member.open(
                at: cluster.path(0),
                id: cluster.ids[0],
                membership: Membership(voters: cluster.ids),
                network: NetworkOptions(
                    listen: NetworkAddress(host: "127.0.0.1", port: 0),
                    peers: [:],
                    security: .insecure
                )
            )
        }
        #expect(error?.code == .invalidArgument)
    }
}
