@testable import Replication
import StorageEngine
import Testing

@testable import ReplicationTransport

/// A link that is asked has packets prepared, by its own thread, once it has sent what there is.
@Suite(.timeLimit(.minutes(1))) struct AskedLinkTests {
    /// Counts, from any thread.
    private final class Counter: @unchecked Sendable {
        private let lock = Lock()
        private var count: UInt64 = 0

        var value: UInt64 { lock.with { count } }

        func add() -> UInt64 {
            lock.with {
                count += 1
                return count
            }
        }

        func raise(to value: UInt64) { lock.with { count = max(count, value) } }
    }

    private static func packet(_ number: UInt64, size: Int = 0) -> Packet {
        let part = CopyPart(copy: 0, index: 0, size: UInt64(size), payload: 0)
        return Packet(
            message: .part(session: number, part),
            payload: [UInt8](repeating: 7, count: size)
        )
    }

    @Test func whatIsPreparedGoesOutInOrderHoweverOften() async throws {
        let second = try TestMember(2, peers: [1: 1])
        let sent = Counter()
        let host = TestMember.Host(prepare: { links, _ in
            let number = sent.add()
            links.send(Self.packet(number), to: TestMember.id(2))?()
            if number < 1_000 { links.ask(TestMember.id(2))?() }
        })
        let first = try TestMember(1, peers: [2: second.port], host: host)
        try await first.reach(second, number: 5_000)

        let wake = try #require(first.links.ask(second.id))
        wake()

        for number in 1...1_000 as ClosedRange<UInt64> {
            let (packet, _) = try await second.packets.first { $0.packet.number != 5_000 }
            #expect(packet.number == number)
        }
        #expect(sent.value == 1_000)
    }

    @Test func whereThereIsNoLinkNobodyIsAsked() async throws {
        let port = try RawPeer.Server().port
        let prepared = Counter()
        let host = TestMember.Host(prepare: { _, _ in _ = prepared.add() })
        let member = try TestMember(1, peers: [2: port], host: host)

        #expect(member.links.ask(TestMember.id(2)) == nil)
        #expect(member.links.ask(TestMember.id(3)) == nil)
        member.send(1, to: 2)
        _ = try await member.events.first { event in
            if case .dialFailed(_, .unreachable) = event { true } else { false }
        }
        #expect(member.links.ask(TestMember.id(2)) == nil)
        member.links.stop()
        #expect(member.links.ask(TestMember.id(2)) == nil)
        #expect(prepared.value == 0)
    }

    @Test func everyQuestionIsFollowedByAPreparation() async throws {
        let second = try TestMember(2, peers: [1: 1])
        let (asked, prepared) = (Counter(), Counter())
        let host = TestMember.Host(prepare: { _, _ in prepared.raise(to: asked.value) })
        let first = try TestMember(1, peers: [2: second.port], host: host)
        try await first.reach(second)
        for round in 1...200 {
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        _ = asked.add()
                        first.send(2, to: 2)
                        first.links.ask(second.id)?()
                    }
                }
            }
            try await eventually { prepared.value == UInt64(round * 4) }
        }
    }

    /// What it was asked for would otherwise wait until somebody else asks.
    @Test func aLinkThatEndsPreparesWhatItWasAskedFor() async throws {
        let server = try RawPeer.Server()
        let prepared = Counter()
        let host = TestMember.Host(prepare: { _, _ in _ = prepared.add() })
        let member = try TestMember(1, peers: [2: server.port], host: host)
        // More than the sockets take.
        for _ in 0..<8 { member.links.send(Self.packet(1, size: 4 << 20), to: TestMember.id(2))?() }
        var peer: RawPeer? = try server.accept()
        try peer?.write(Greeting(member: TestMember.id(2), bodySizeMax: 1 << 20).encoded())
        _ = try await member.events.first { $0 == .dialed(TestMember.id(2)) }

        let wake = try #require(member.links.ask(TestMember.id(2)))
        wake()
        try await Task.sleep(for: .milliseconds(50))
        #expect(prepared.value == 0, "there is enough to be sent")
        peer = nil

        try await eventually { prepared.value == 1 }
        #expect(member.links.ask(TestMember.id(2)) == nil)
    }
}
