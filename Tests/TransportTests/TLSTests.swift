import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import Replication
import StorageEngine
import Testing

@testable import ReplicationTransport

/// Only members with a certificate of the authority get in, each under its own name.
@Suite(.timeLimit(.minutes(2))) struct TLSTests {
    private static let names = [
        "one.test": TestMember.id(1), "urn:member:two": TestMember.id(2),
    ]
    private let authority: TestAuthority

    init() throws {
        authority = try TestAuthority()
        try authority.issue("one", name: "DNS:one.test")
        try authority.issue("two", name: "DNS:ignored.test,URI:urn:member:two")
    }

    private func member(
        _ number: UInt64,
        _ file: String,
        roots: String? = nil,
        peers: [UInt64: Int]
    ) throws -> TestMember {
        let files = authority.files(file, roots: roots, members: Self.names)
        return try TestMember(number, peers: peers, security: .tls(files))
    }

    /// A member that accepts, and what it says of whoever does not get in.
    private func accepting() throws -> TestMember { try member(2, "two", peers: [1: 1]) }

    private func refusal(_ member: TestMember) async throws -> LinkFailure? {
        let event = try await member.events.first { event in
            if case .refused = event { true } else { false }
        }
        guard case .refused(_, let failure) = event else { return nil }
        return failure
    }

    private func dialFailure(_ member: TestMember) async throws -> LinkFailure? {
        let event = try await member.events.first { event in
            switch event {
            case .dialFailed, .hungUp: true
            default: false
            }
        }
        switch event {
        case .dialFailed(_, let failure), .hungUp(_, let failure): return failure
        default: return nil
        }
    }

    /// Connects with a TLS client that is no member, and says what it saw.
    private func connect(
        to port: Int,
        _ change: (inout TLSConfiguration) -> Void
    ) async throws {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = .none
        change(&configuration)
        let context = try NIOSSLContext(configuration: configuration)
        let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        NIOSSLClientHandler(context: context, serverHostname: nil)
                    )
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        try await channel.closeFuture.get()
    }

    @Test func membersWithCertificatesReachEachOther() async throws {
        let second = try accepting()
        let first = try member(1, "one", peers: [2: second.port])
        let payload = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7 ^ $0 >> 9) }

        first.send(5, payload: payload, to: 2)
        let received = try await second.packets.next()

        #expect(received.sender == first.id && received.packet.number == 5)
        #expect(received.packet.payload == payload)
    }

    @Test func withoutACertificateNobodyGetsIn() async throws {
        let second = try accepting()

        try await connect(to: second.port) { _ in }

        #expect(try await refusal(second) == .noCertificate)
    }

    @Test func anotherAuthorityIsRefusedOnBothSides() async throws {
        let other = try TestAuthority()
        try other.issue("one", name: "DNS:one.test")
        let second = try accepting()
        let believing = other.files("one", roots: authority.roots, members: Self.names)
        let stranger = try TestMember(
            1,
            peers: [2: second.port],
            security: .tls(believing)
        )
        stranger.send(1, to: 2)
        #expect(try await refusal(second) == .wrongAuthority)
        #expect(try await dialFailure(stranger) == .alerted(.unknownAuthority))

        let suspicious = other.files("one", members: Self.names)
        let wary = try TestMember(1, peers: [2: second.port], security: .tls(suspicious))
        wary.send(1, to: 2)
        #expect(try await dialFailure(wary) == .wrongAuthority)
        #expect(try await refusal(second) == .alerted(.unknownAuthority))
    }

    @Test func certificatesThatAreOverAreRefusedOnBothSides() async throws {
        try authority.issue("late", name: "DNS:one.test", days: -1)
        let second = try accepting()
        let late = try member(1, "late", peers: [2: second.port])
        late.send(1, to: 2)
        #expect(try await refusal(second) == .expired)
        #expect(try await dialFailure(late) == .alerted(.expired))

        try authority.issue("lateTwo", name: "URI:urn:member:two", days: -1)
        let lateSecond = try member(2, "lateTwo", peers: [1: 1])
        let first = try member(1, "one", peers: [2: lateSecond.port])
        first.send(1, to: 2)
        #expect(try await dialFailure(first) == .expired)
        #expect(try await refusal(lateSecond) == .alerted(.expired))
    }

    @Test func namesThatAreNotAllowedAreRefusedOnBothSides() async throws {
        try authority.issue("third", name: "DNS:three.test")
        let second = try accepting()
        let third = try member(1, "third", peers: [2: second.port])
        third.send(1, to: 2)
        #expect(try await refusal(second) == .wrongName)
        #expect(try await dialFailure(third) == .rejected(.notAllowed))

        let impostor = try member(2, "third", peers: [1: 1])
        let first = try member(1, "one", peers: [2: impostor.port])
        first.send(1, to: 2)
        #expect(try await dialFailure(first) == .wrongName)
    }

    /// The name of the certificate decides, not what the greeting says.
    @Test func nobodyGreetsAsAnotherMember() async throws {
        let second = try member(2, "two", peers: [1: 1, 3: 1])
        let liar = try member(3, "one", peers: [2: second.port])
        liar.send(1, to: 2)

        #expect(try await refusal(second) == .wrongName)
        #expect(try await dialFailure(liar) == .rejected(.notAllowed))
        #expect(second.links.counts.receivedPackets == 0)
    }

    @Test func oldVersionsOfTLSAreRefused() async throws {
        let second = try accepting()

        try await connect(to: second.port) { configuration in
            configuration.minimumTLSVersion = .tlsv1
            configuration.maximumTLSVersion = .tlsv11
        }

        #expect(try await refusal(second) == .oldTLS)
    }

    @Test func plaintextIsRefusedBeforeTLSSeesIt() async throws {
        let second = try accepting()
        let peer = try RawPeer.connected(to: second.port)
        try peer.write(Greeting(member: TestMember.id(1), bodySizeMax: 1 << 20).encoded())

        #expect(try await refusal(second) == .plaintext)
        #expect(await peer.readToEnd().isEmpty)
    }

    @Test func aHandshakeThatStopsHalfWayEnds() async throws {
        let files = authority.files("two", members: Self.names)
        var limits = TestMember.limits
        limits.handshakeTime = 50
        let second = try TestMember(2, peers: [1: 1], security: .tls(files), limits: limits)
        let peer = try RawPeer.connected(to: second.port)
        try peer.write([22, 3, 1, 0, 200, 1])

        #expect(try await refusal(second) == .slowHandshake)
    }

    @Test func garbageInAHandshakeIsRefused() async throws {
        let second = try accepting()
        let peer = try RawPeer.connected(to: second.port)
        try peer.write([22, 3, 1, 0, 4, 1, 0, 0, 0] + [UInt8](repeating: 0xee, count: 100))

        guard case .handshakeFailed? = try await refusal(second) else {
            Issue.record("another failure was told")
            return
        }
    }

    /// A new certificate is used from the next connection on, without a restart.
    @Test func certificatesAreReloaded() async throws {
        try authority.issue("late", name: "DNS:one.test", days: -1)
        let second = try accepting()
        let first = try member(1, "late", peers: [2: second.port])
        first.send(1, to: 2)
        #expect(try await refusal(second) == .expired)

        try authority.issue("late", name: "DNS:one.test")
        try first.links.reload()

        try await first.reach(second, number: 2)
    }

    @Test func aReloadThatFailsLeavesTheOldCertificates() async throws {
        let second = try accepting()
        try authority.issue("broken", name: "DNS:one.test")
        let first = try member(1, "broken", peers: [2: second.port])
        let path = authority.path("broken.pem")
        try Data("no certificate".utf8).write(to: URL(fileURLWithPath: path))

        let error = #expect(throws: EngineError.self) { try first.links.reload() }

        #expect(error?.code == .invalidArgument && error?.file == path)
        try await first.reach(second)
    }

    @Test func filesThatCannotBeUsedAreTold() async throws {
        let good = authority.files("one", members: Self.names)
        var missing = good
        missing.certificateChain = authority.path("missing.pem")
        var noKey = good
        noKey.privateKey = authority.path("missing.key")
        var otherKey = good
        otherKey.privateKey = authority.path("two.key")
        var readable = good
        readable.privateKey = authority.path("readable.key")
        try FileManager.default.copyItem(atPath: good.privateKey, toPath: readable.privateKey)
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o640],
            ofItemAtPath: readable.privateKey
        )

        let codes = [missing, noKey, otherKey, readable].map { files in
            do throws(EngineError) {
                _ = try TLSContexts(files)
                return EngineError.Code?.none
            } catch {
                return error.code
            }
        }

        #expect(codes == [.invalidArgument, .io, .invalidArgument, .invalidArgument])
    }
}
