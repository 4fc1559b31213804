import Replication
import StorageEngine
import Testing

@testable import ReplicationTransport

/// What is sent arrives, whole and in order, or is dropped and counted.
@Suite(.timeLimit(.minutes(2))) struct LinksTests {
    /// Two members that know each other.
    private static func pair(
        limits: NetworkLimits = TestMember.limits
    ) throws -> (TestMember, TestMember) {
        // The second one's port is known once it is there; the first one is its sender only.
        let second = try TestMember(2, peers: [1: 1], limits: limits)
        let first = try TestMember(1, peers: [2: second.port], limits: limits)
        return (first, second)
    }

    @Test func packetsArriveInOrder() async throws {
        let (first, second) = try Self.pair()
        for number in 1...500 { first.send(UInt64(number), to: 2) }

        for number in 1...500 {
            let (packet, sender) = try await second.packets.next()
            #expect(packet.number == UInt64(number) && sender == first.id)
        }

        #expect(first.links.counts.sentPackets == 500)
        #expect(second.links.counts.receivedPackets == 500)
        #expect(first.links.connected.outgoing == [second.id])
        #expect(second.links.connected.incoming == [first.id])
    }

    @Test(arguments: [1, 1000, 1 << 20, 5_000_000]) func payloadsArriveWhole(
        size: Int
    ) async throws {
        let (first, second) = try Self.pair()
        let payload = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 11) }
        first.send(1, payload: payload, to: 2)
        first.send(2, to: 2)

        let large = try await second.packets.next()
        let small = try await second.packets.next()

        #expect(large.packet.payload == payload)
        #expect(small.packet.number == 2)
    }

    @Test func bothSidesSpeakAtOnce() async throws {
        let port = try RawPeer.Server().port
        let second = try TestMember(2, port: port, peers: [1: 1])
        let first = try TestMember(1, peers: [2: port])
        let third = try TestMember(3, peers: [1: first.port, 2: port])
        #expect(first.links.connected.outgoing.isEmpty)

        first.send(1, to: 2)
        third.send(9, to: 2)
        let answer = try await second.packets.next()

        #expect(answer.sender == first.id, "the third is nobody that the second one knows")
        _ = try await third.events.first { $0 == .dialFailed(second.id, .rejected(.notAllowed)) }
        _ = try await second.events.first { event in
            if case .refused(_, .wrongMember) = event { true } else { false }
        }
    }

    @Test func aMemberThatComesBackIsReachedAgain() async throws {
        let (first, second) = try Self.pair()
        try await first.reach(second)
        let port = second.port
        second.links.stop()
        _ = try await first.events.first { $0 == .hungUp(second.id, .closed) }

        let again = try TestMember(2, port: port, peers: [1: 1])

        try await first.reach(again, number: 7)
        #expect(first.links.connected.outgoing == [second.id])
    }

    @Test func whoCameIsDialedWithoutAPause() async throws {
        var limits = TestMember.limits
        limits.redialPause = 3_600_000
        limits.redialPauseMax = 3_600_000
        let port = try RawPeer.Server().port
        let first = try TestMember(1, peers: [2: port], limits: limits)
        first.send(1, to: 2)
        _ = try await first.events.first { event in
            if case .dialFailed(_, .unreachable) = event { true } else { false }
        }

        let second = try TestMember(2, port: port, peers: [1: first.port])
        try await second.reach(first)

        first.send(2, to: 2)
        let answer = try await second.packets.next()
        #expect(answer.packet.number == 2)
    }

    @Test func whatNobodyTakesIsDroppedAndCounted() async throws {
        let port = try RawPeer.Server().port
        var limits = TestMember.limits
        limits.redialPause = 60_000
        limits.redialPauseMax = 60_000
        let member = try TestMember(1, peers: [2: port], limits: limits)
        member.send(1, to: 2)
        member.send(1, to: 3)
        let event = try await member.events.next()
        member.send(2, to: 2)

        guard case .dialFailed(_, .unreachable) = event else {
            Issue.record("\(event)")
            return
        }
        #expect(member.links.counts.droppedPackets == 3)
    }

    @Test func aPeerThatDoesNotReadFillsNoMemory() async throws {
        let server = try RawPeer.Server()
        var limits = TestMember.limits
        limits.outgoingSizeMax = 4 << 20
        let member = try TestMember(1, peers: [2: server.port], limits: limits)
        let payload = [UInt8](repeating: 7, count: 1 << 20)
        member.send(0, payload: payload, to: 2)
        let peer = try server.accept()
        try peer.write(Greeting(member: TestMember.id(2), bodySizeMax: 1 << 20).encoded())
        _ = try await member.events.first { $0 == .dialed(TestMember.id(2)) }

        for number in 1...100 { member.send(UInt64(number), payload: payload, to: 2) }

        // What the kernel's buffers took is gone; the rest is bounded.
        #expect(member.links.counts.droppedPackets > 50)
        #expect(member.links.counts.sentBytes < 50 << 20)
    }

    @Test func aPacketThatNoReceiverTakesIsTold() async throws {
        var limits = TestMember.limits
        limits.wire.payloadSizeMax = 10
        let (first, second) = try Self.pair(limits: limits)

        first.send(1, payload: [UInt8](repeating: 0, count: 11), to: 2)

        let event = try await first.events.next()
        #expect(event == .notSent(second.id, .tooLarge(.part, size: 11, max: 10)))
    }

    @Test func aNewerConnectionReplacesTheOlder() async throws {
        let second = try TestMember(2, peers: [1: 1])
        let older = try RawPeer.connected(to: second.port)
        let greeting = Greeting(member: TestMember.id(1), bodySizeMax: 1 << 20).encoded()
        try older.write(greeting)
        _ = try await second.events.first { $0 == .accepted(TestMember.id(1)) }

        let newer = try RawPeer.connected(to: second.port)
        try newer.write(greeting)

        _ = try await second.events.first { $0 == .lost(TestMember.id(1), .replaced) }
        #expect(await older.readToEnd().suffix(17) == Rejection.replaced.encoded()[...])
        #expect(second.links.connected.incoming == [TestMember.id(1)])
        #expect(second.links.admission.counts.all == 1)
    }

    /// The loops, which end meanwhile, take nothing to do any more.
    @Test func othersMaySendDuringTheStop() async throws {
        for _ in 0..<20 {
            let (first, second) = try Self.pair()
            try await first.reach(second)
            let sender = Task {
                while !Task.isCancelled {
                    first.send(2, to: 2)
                    first.links.ask(second.id)?()
                    await Task.yield()
                }
            }
            try await Task.sleep(for: .milliseconds(2))
            first.links.stop()
            sender.cancel()
            await sender.value
            #expect(first.links.ask(second.id) == nil)
            #expect(first.links.connected.outgoing.isEmpty)
        }
    }

    @Test func nothingIsDeliveredAfterTheStop() async throws {
        let (first, second) = try Self.pair()
        try await first.reach(second)
        second.links.stop()
        second.links.stop()
        second.packets.continuation.finish()

        first.send(2, to: 2)
        first.links.stop()
        first.send(3, to: 2)

        #expect(second.links.connected.incoming.isEmpty)
        #expect(first.links.counts.droppedPackets > 0)
    }
}
