import Foundation
import Replication
import StorageEngine
import StorageEngineTestSupport
import Testing

@testable import NodeService
@testable import ReplicationTransport

/// A node is what its file and its environment say, or says what is wrong with them.
@Suite struct ConfigurationTests {
    private let directory = TemporaryDirectory()
    private static let ids = (1...3).map { String(repeating: "\($0)", count: 32) }

    private func file(_ text: String) throws -> String {
        let path = directory.path + "/node.json"
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        return path
    }

    private func refusal(
        _ file: String?,
        _ environment: [String: String] = [:]
    ) async -> EngineError? {
        do throws(EngineError) {
            _ = try await NodeConfiguration(file: file, environment: environment)
            return nil
        } catch {
            return error
        }
    }

    @Test func aStoreAloneNeedsOnlyItsDirectory() async throws {
        let configuration = try await NodeConfiguration(
            file: nil,
            environment: ["ENGINENODE_STORE": "/stores/a"]
        )

        #expect(configuration.store == "/stores/a")
        #expect(configuration.http.address == NetworkAddress(host: "127.0.0.1", port: 7070))
        #expect(configuration.http.access.isOpen && configuration.http.tls == nil)
        #expect(configuration.cluster == nil)
    }

    @Test func theEnvironmentWins() async throws {
        let path = try file(
            """
            { "store": "/stores/a",
              "http": { "listen": "127.0.0.1:1", "tokens": { "read": "0123456789abcdef" } } }
            """
        )

        let configuration = try await NodeConfiguration(
            file: path,
            environment: ["ENGINENODE_HTTP_LISTEN": "[::1]:2"]
        )

        #expect(configuration.store == "/stores/a")
        #expect(configuration.http.address == NetworkAddress(host: "::1", port: 2))
        #expect(!configuration.http.access.isOpen)
    }

    @Test func aMemberKnowsTheOthers() async throws {
        let path = try file(
            """
            { "store": "/stores/a", "member": "\(Self.ids[0])", "failoverFollowers": 2,
              "voters": ["\(Self.ids[0])", "\(Self.ids[1])", "\(Self.ids[2])"],
              "feeders": ["\(Self.ids[2])"], "copyRate": 1000000,
              "shortfall": { "policy": "degrade", "after": 500, "floor": 1 },
              "engine": { "logFileSize": 65536, "retainedLogSize": 0 },
              "network": { "listen": "10.0.0.1:9000", "peers": [ "\(Self.ids[0])=10.0.0.1:9000",
                "\(Self.ids[1])=two.test:9000", "\(Self.ids[2])=[fd00::3]:9001" ] },
              "tls": { "certificate": "c.pem", "key": "k.pem", "authority": "a.pem",
                "names": ["two.test=\(Self.ids[1])", "urn:x=y=\(Self.ids[2])"] } }
            """
        )

        let configuration = try await NodeConfiguration(file: path, environment: [:])

        let cluster = try #require(configuration.cluster)
        let ids = try Self.ids.map { try #require(UniqueID(hexadecimal: $0)) }
        #expect(cluster.member == ids[0] && "\(ids[0])" == Self.ids[0])
        #expect(cluster.membership.voters == ids && cluster.membership.failoverFollowers == 2)
        #expect(cluster.network.listen == NetworkAddress(host: "10.0.0.1", port: 9000))
        #expect(
            cluster.network.peers == [
                ids[1]: NetworkAddress(host: "two.test", port: 9000),
                ids[2]: NetworkAddress(host: "fd00::3", port: 9001),
            ]
        )
        #expect(cluster.options.feeders == [ids[2]] && cluster.options.copyRate == 1_000_000)
        #expect(
            cluster.options.shortfall == .degrade(floor: 1, after: .milliseconds(500))
        )
        #expect(cluster.options.engine.logFileSize == 65_536)
        #expect(configuration.engine.retainedLogSize == 0)
        guard case .tls(let files) = cluster.network.security else {
            Issue.record("members speak TLS")
            return
        }
        #expect(files.members == ["two.test": ids[1], "urn:x=y": ids[2]])
    }

    @Test func oneArgumentMakesMembersSpeakWithoutTLS() async throws {
        let configuration = try await NodeConfiguration(
            file: nil,
            isInsecure: true,
            environment: [
                "ENGINENODE_STORE": "/s", "ENGINENODE_MEMBER": Self.ids[0],
                "ENGINENODE_VOTERS": Self.ids[0] + "," + Self.ids[1],
                "ENGINENODE_NETWORK_PEERS": "\(Self.ids[1])=127.0.0.1:7072",
            ]
        )

        let cluster = try #require(configuration.cluster)
        guard case .insecure = cluster.network.security else {
            Issue.record("they speak TLS")
            return
        }
        #expect(cluster.options.shortfall == .fail(after: .seconds(2)))
    }

    @Test func whatIsWrongIsNamed() async throws {
        let store = ["ENGINENODE_STORE": "/s"]
        let peers = "ENGINENODE_NETWORK_PEERS"
        let member = [
            peers: "\(Self.ids[1])=a:1", "ENGINENODE_MEMBER": Self.ids[0],
            "ENGINENODE_VOTERS": Self.ids[0] + "," + Self.ids[1],
            "ENGINENODE_NETWORK_INSECURE": "true",
        ]
        let wrong: [([String: String], String)] = [
            ([:], "store"), (["ENGINENODE_HTTP_LISTEN": "nowhere"], "http.listen"),
            (["ENGINENODE_HTTP_TOKENS_ADMIN": "short"], "http.tokens.admin"),
            (["ENGINENODE_HTTP_TLS": "true"], "http.tls"),
            (["ENGINENODE_HTTP_TLS": "perhaps"], "http.tls"),
            (["ENGINENODE_HTTP_NAMES": "a=owner"], "http.names"),
            (["ENGINENODE_TLS_CERTIFICATE": "c.pem"], "tls.key"),
            ([peers: "x"], "network.peers"), ([peers: "\(Self.ids[1])=a:1"], "member"),
            ([peers: "z=a:1", "ENGINENODE_MEMBER": Self.ids[0]], "network.peers"),
            ([peers: "\(Self.ids[1])=a:1", "ENGINENODE_MEMBER": Self.ids[0]], "network.insecure"),
            (member.merging(["ENGINENODE_SHORTFALL_POLICY": "hope"]) { $1 }, "shortfall.policy"),
            (member.merging(["ENGINENODE_SHORTFALL_AFTER": "-1"]) { $1 }, "shortfall.after"),
            (["ENGINENODE_ENGINE_CACHE_SIZE": "much"], "engine.cacheSize"),
        ]

        for (environment, name) in wrong {
            let base = environment.isEmpty ? [:] : store
            let error = await refusal(nil, base.merging(environment) { $1 })
            #expect(error?.code == .invalidArgument, "\(name)")
            #expect(error?.message.contains(name) == true, "\(name): \(error?.message ?? "")")
        }
    }

    @Test func filesThatCannotBeReadAreTold() async throws {
        let missing = await refusal(directory.path + "/missing.json")
        let broken = await refusal(try file("{"))

        #expect(missing?.code == .io && missing?.file?.hasSuffix("missing.json") == true)
        #expect(broken?.code == .io)
    }
}
