import Replication
import StorageEngine
import Testing

@testable import ReplicationTransport

/// Whoever connects can hold no more of this process than the limits allow.
@Suite(.timeLimit(.minutes(2))) struct LimitTests {
    private let greeting = Greeting(member: TestMember.id(1), bodySizeMax: 1 << 20).encoded()

    private func refusal(_ member: TestMember) async throws -> LinkFailure? {
        let event = try await member.events.first { event in
            if case .refused = event { true } else { false }
        }
        guard case .refused(let address, let failure) = event else { return nil }
        #expect(address == "127.0.0.1")
        return failure
    }

    @Test func aSlowHandshakeEnds() async throws {
        var limits = TestMember.limits
        limits.handshakeTime = 50
        let member = try TestMember(2, peers: [1: 1], limits: limits)
        let peer = try RawPeer.connected(to: member.port)

        #expect(try await refusal(member) == .slowHandshake)
        #expect(await peer.readToEnd().isEmpty)
    }

    @Test func aMemberThatDoesNotAnswerIsGivenUp() async throws {
        var limits = TestMember.limits
        limits.handshakeTime = 50
        let server = try RawPeer.Server()
        let member = try TestMember(1, peers: [2: server.port], limits: limits)
        member.send(1, to: 2)
        let peer = try server.accept()

        let event = try await member.events.next()

        #expect(event == .dialFailed(TestMember.id(2), .slowHandshake))
        #expect(await !peer.readToEnd().isEmpty)
        #expect(member.links.counts.droppedPackets == 1)
    }

    @Test func silenceIsNoticedOnBothSides() async throws {
        var limits = TestMember.limits
        limits.heartbeatInterval = 10
        limits.silenceMax = 100
        let server = try RawPeer.Server()
        let member = try TestMember(2, peers: [1: server.port], limits: limits)
        let caller = try RawPeer.connected(to: member.port)
        try caller.write(greeting)
        member.send(1, to: 1)
        let callee = try server.accept()
        try callee.write(greeting)

        _ = try await member.events.first { $0 == .hungUp(TestMember.id(1), .silent) }
        let heard = await caller.readToEnd()

        #expect(heard.count > 60 + WireFrame.heartbeat.count, "heartbeats came meanwhile")
        #expect(heard.suffix(16) == WireFrame.heartbeat[...])
    }

    @Test func anIdleConnectionHasHeartbeats() async throws {
        var limits = TestMember.limits
        limits.heartbeatInterval = 10
        let second = try TestMember(2, peers: [1: 1], limits: limits)
        let first = try TestMember(1, peers: [2: second.port], limits: limits)
        try await first.reach(second)
        let before = second.links.counts.receivedBytes

        try await eventually { second.links.counts.receivedBytes >= before + 20 * 16 }

        #expect(second.links.connected.incoming == [first.id])
        #expect(first.links.connected.outgoing == [second.id])
    }

    @Test func connectionsAreCounted() async throws {
        var limits = TestMember.limits
        limits.unauthenticatedMax = 5
        let member = try TestMember(2, peers: [1: 1], limits: limits)
        var silent: [RawPeer] = []
        for _ in 0..<5 { silent.append(try RawPeer.connected(to: member.port)) }
        try await eventually { member.links.admission.counts.all >= 5 }

        for _ in 0..<300 {
            let peer = try RawPeer.connected(to: member.port)
            #expect(try await refusal(member) == .tooManyConnections)
            #expect(await peer.readToEnd().isEmpty)
        }
        #expect(member.links.admission.counts == (5, 5))
        #expect(member.links.counts.refusedConnections == 300)

        silent = []
        try await eventually { member.links.admission.counts.all == 0 }
        let peer = try RawPeer.connected(to: member.port)
        try peer.write(greeting)
        _ = try await member.events.first { $0 == .accepted(TestMember.id(1)) }
        #expect(member.links.admission.counts == (1, 0))
    }

    @Test func addressesAndAllTogetherHaveLimitsToo() {
        var limits = NetworkLimits()
        limits.connectionsMax = 3
        limits.connectionsPerAddressMax = 2
        let admission = Admission(limits: limits)

        #expect(admission.enter("a") && admission.enter("a"))
        #expect(!admission.enter("a"))
        #expect(admission.enter("b"))
        #expect(!admission.enter("c"))
        admission.authenticate()
        admission.leave("a", wasAuthenticated: true)
        #expect(admission.counts == (2, 2))
        #expect(admission.enter("c"))
    }

    @Test func garbageIsRefused() async throws {
        let member = try TestMember(2, peers: [1: 1])
        let request = try RawPeer.connected(to: member.port)
        try request.write(Array("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8))
        #expect(try await refusal(member) == .wire(.notGreeting))
        #expect(await request.readToEnd() == Rejection.malformed.encoded())

        let greeted = try RawPeer.connected(to: member.port)
        try greeted.write(greeting + [UInt8](repeating: 3, count: 16))

        let lost = NetworkEvent.lost(TestMember.id(1), .wire(.wrongFlags(0x0303)))
        _ = try await member.events.first { $0 == lost || $0 == .lost(TestMember.id(1), .closed) }
        #expect(member.links.counts.receivedPackets == 0)
    }

    @Test func unfinishedPacketsAreBounded() async throws {
        var limits = TestMember.limits
        limits.incomingSizeMax = 100_000
        let member = try TestMember(2, peers: [1: 1], limits: limits)
        let peer = try RawPeer.connected(to: member.port)
        let part = CopyPart(copy: 0, index: 0, size: 0, payload: 0)
        let payload = [UInt8](repeating: 1, count: 500_000)
        var encoder = try PacketEncoder(
            Packet(message: .part(session: 1, part), payload: payload)
        )
        var stream = greeting
        for _ in 0..<4 {
            let size = try #require(encoder.nextFrameSize(bodySizeMax: 50_000))
            var frame = [UInt8](repeating: 0, count: size)
            unsafe frame.withUnsafeMutableBytes { target in
                unsafe encoder.encodeFrame(to: target, version: 1)
            }
            stream += frame
        }
        try peer.write(stream)

        _ = try await member.events.first { $0 == .lost(TestMember.id(1), .tooManyBytes) }
    }

    @Test func versionsThatAreUnknownAreRejected() async throws {
        let member = try TestMember(2, peers: [1: 1])
        let peer = try RawPeer.connected(to: member.port)
        var later = Greeting(member: TestMember.id(1), bodySizeMax: 1 << 20)
        later.versions = 2...3
        try peer.write(later.encoded())

        #expect(try await refusal(member) == .wire(.unsupportedVersions(min: 2, max: 3)))
        #expect(await peer.readToEnd() == Rejection.unsupported.encoded())
    }

    @Test func plaintextStaysOnTheMachine() {
        for (listen, peer) in [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "example.com")] {
            let options = NetworkOptions(
                listen: NetworkAddress(host: listen, port: 0),
                peers: [TestMember.id(1): NetworkAddress(host: peer, port: 1)],
                security: .insecure
            )

            let error = #expect(throws: EngineError.self) {
                try NetworkLinks.open(member: TestMember.id(2), options: options) { _ in }
            }
            #expect(error?.code == .invalidArgument)
        }
    }

    @Test func aPortInUseIsAnError() async throws {
        let member = try TestMember(1, peers: [:])

        let error = #expect(throws: EngineError.self) { try TestMember(2, port: member.port) }
        #expect(error?.code == .io)
    }
}
