import NIOCore
import NIOPosix
import NIOSSL
import StorageEngineTestSupport
import Testing

@testable import Replication
@testable import ReplicationTransport

/// Strangers in numbers: each is refused with a reason, and nothing of it stays.
@Suite(.serialized, .timeLimit(.minutes(5))) struct FloodTests {
    /// What a stranger says before anybody knows who it is.
    private enum Stranger: CaseIterable {
        case silent, plaintext, garbage, halfHandshake, otherVersion

        var bytes: [UInt8] {
            switch self {
            case .silent: []
            case .plaintext: Array("GET / HTTP/1.1\r\n\r\n".utf8)
            case .garbage: [22, 3, 1, 0, 4, 1, 0, 0, 0] + [UInt8](repeating: 0xee, count: 4_000)
            case .halfHandshake: [22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]
            case .otherVersion: [22, 2, 0, 0, 1, 0]
            }
        }
    }

    private static let count = 10_000
    private static let batch = 25

    private func member(_ authority: TestAuthority) throws -> TestMember {
        try authority.issue("two", name: "DNS:two.test")
        let names = ["two.test": TestMember.id(2), "one.test": TestMember.id(1)]
        return try TestMember(
            2,
            peers: [1: 1],
            security: .tls(authority.files("two", members: names))
        )
    }

    /// Takes the reasons for which a batch of strangers was refused.
    private func reasons(_ count: Int, _ member: TestMember) async throws -> [LinkFailure] {
        var found: [LinkFailure] = []
        while found.count < count {
            let event = try await member.events.next()
            if case .refused(_, let failure) = event { found.append(failure) }
        }
        return found
    }

    @Test func tenThousandStreamsOfStrangersLeaveMemoryFlat() async throws {
        let member = try member(TestAuthority())
        var seen: Set<String> = []
        var before = 0
        for round in 0..<(Self.count / Self.batch) {
            if round * Self.batch == 2_000 { before = try #require(residentSize()) }
            var peers: [RawPeer] = []
            for index in 0..<Self.batch {
                let peer = try RawPeer.connected(to: member.port)
                try peer.write(Stranger.allCases[index % Stranger.allCases.count].bytes)
                peers.append(peer)
            }
            // Those that wait for more go when they are left.
            peers = []
            for reason in try await reasons(Self.batch, member) { seen.insert("\(reason)") }
        }
        let growth = try #require(residentSize()) - before

        try await eventually { member.links.admission.counts.all == 0 }
        #expect(member.links.counts.refusedConnections == UInt64(Self.count))
        #expect(member.links.counts.receivedPackets == 0)
        #expect(seen.contains("\(LinkFailure.plaintext)") && seen.count >= 3, "\(seen)")
        #expect(growth < 64 << 20, "\(growth) bytes")
    }

    @Test func aThousandHandshakesWithoutACertificateLeaveMemoryFlat() async throws {
        let member = try member(TestAuthority())
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = .none
        let context = try NIOSSLContext(configuration: configuration)
        var before = 0
        for round in 0..<(1_000 / Self.batch) {
            if round == 8 { before = try #require(residentSize()) }
            for _ in 0..<Self.batch {
                _ = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
                    .channelInitializer { channel in
                        channel.eventLoop.makeCompletedFuture {
                            try channel.pipeline.syncOperations.addHandler(
                                NIOSSLClientHandler(context: context, serverHostname: nil)
                            )
                        }
                    }
                    .connect(host: "127.0.0.1", port: member.port).get()
            }
            for reason in try await reasons(Self.batch, member) {
                #expect(reason == .noCertificate)
            }
        }
        let growth = try #require(residentSize()) - before

        try await eventually { member.links.admission.counts.all == 0 }
        #expect(member.links.counts.refusedConnections == 1_000)
        #expect(growth < 64 << 20, "\(growth) bytes")
    }
}
