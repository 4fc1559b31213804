@testable import Replication
import StorageEngine
import StorageEngineTestSupport
import Testing

@testable import ReplicationTransport

/// What came is handed on in order, by a thread that may wait, and is bounded.
@Suite(.timeLimit(.minutes(2))) struct InboxTests {
    private static func packet(_ number: UInt64, size: Int = 0) -> Packet {
        Packet(
            message: .take(Take(session: number, copy: 0, from: 0)),
            payload: [UInt8](repeating: 7, count: size)
        )
    }

    /// Somebody who takes packets, and may be held.
    private final class Taker: @unchecked Sendable {
        private let lock = Lock()
        private let changed = Condition()
        private var isHeld: Bool
        private var taken: [(sender: UInt64, number: UInt64)] = []
        private var isTaking = false
        private var atOnce = 0
        private let mustWait: @Sendable (UInt64) -> Bool

        init(isHeld: Bool = false, mustWait: @escaping @Sendable (UInt64) -> Bool = { _ in false })
        {
            self.isHeld = isHeld
            self.mustWait = mustWait
        }

        func take(_ packet: Packet, _ sender: UniqueID, _ mayWait: Bool) -> Bool {
            lock.with {
                let number = packet.number ?? 0
                guard mayWait || !(isHeld || mustWait(number)) else { return false }
                atOnce += mayWait ? 0 : 1
                isTaking = true
                changed.broadcast()
                while isHeld { changed.wait(lock) }
                taken.append((sender.high, number))
                return true
            }
        }

        func letGo() {
            lock.with {
                isHeld = false
                changed.broadcast()
            }
        }

        /// Waits until it has a packet, which it keeps while it is held.
        func waitUntilTaking() { lock.with { while !isTaking { changed.wait(lock) } } }

        var countAtOnce: Int { lock.with { atOnce } }

        var all: [(sender: UInt64, number: UInt64)] { lock.with { taken } }
    }

    @Test func eachSendersPacketsStayInOrder() async throws {
        let inbox = Inbox(sizeMax: 1 << 20, countMax: 1_000)
        let taker = Taker()
        inbox.start(taker.take)

        for number in 1...200 as ClosedRange<UInt64> {
            for sender in 1...3 as ClosedRange<UInt64> {
                #expect(inbox.take(Self.packet(number), from: TestMember.id(sender)))
            }
        }
        try await eventually { taker.all.count == 600 }
        inbox.end()

        for sender in 1...3 as ClosedRange<UInt64> {
            #expect(taker.all.filter { $0.sender == sender }.map(\.number) == Array(1...200))
        }
    }

    /// What must wait goes to the inbox's thread, and what comes behind it may not overtake it.
    @Test func whatIsTakenAtOnceOvertakesNothing() async throws {
        let inbox = Inbox(sizeMax: 1 << 20, countMax: 10_000)
        let taker = Taker { $0 % 7 == 0 }
        inbox.start(taker.take)

        for number in 1...5_000 as ClosedRange<UInt64> {
            #expect(inbox.take(Self.packet(number), from: TestMember.id(1)))
            guard number % 100 == 0 else { continue }
            try await eventually { taker.all.count == Int(number) }
        }
        inbox.end()

        #expect(taker.all.map(\.number) == Array(1...5_000))
        #expect(taker.countAtOnce > 0 && taker.countAtOnce < 5_000)
    }

    @Test func aLaneIsBoundedAndTheOthersAreNotHeldUp() async throws {
        let inbox = Inbox(sizeMax: 10_000, countMax: 10)
        let taker = Taker(isHeld: true)
        inbox.start(taker.take)
        #expect(inbox.take(Self.packet(0), from: TestMember.id(9)))
        taker.waitUntilTaking()

        let byCount = (1...20).count { number in
            inbox.take(Self.packet(UInt64(number)), from: TestMember.id(1))
        }
        let bySize = (1...20).count { number in
            inbox.take(Self.packet(UInt64(number), size: 3_000), from: TestMember.id(2))
        }
        let alone = inbox.take(Self.packet(1, size: 1 << 20), from: TestMember.id(3))
        taker.letGo()
        try await eventually { taker.all.count == 15 }
        inbox.end()

        #expect(byCount == 10 && bySize == 3 && alone)
        // Lanes take turns: the third sender need not wait for what the first two have.
        #expect(taker.all.prefix(4).map(\.sender) == [9, 1, 2, 3])
    }

    @Test func theEndWaitsForThePacketThatIsBeingTaken() async throws {
        let inbox = Inbox(sizeMax: 1 << 20, countMax: 100)
        let taker = Taker(isHeld: true)
        inbox.start(taker.take)
        for number in 1...5 as ClosedRange<UInt64> {
            #expect(inbox.take(Self.packet(number), from: TestMember.id(1)))
        }
        taker.waitUntilTaking()
        let ending = WorkerThread(name: "ending") { inbox.end() }
        taker.letGo()
        ending.join()
        let count = taker.all.count

        #expect(count >= 1)
        #expect(inbox.take(Self.packet(6), from: TestMember.id(1)), "nobody is told off now")
        #expect(taker.all.count == count, "nothing is handed on afterwards")
    }

    @Test func whoeverSendsMoreThanIsTakenIsCutOffAndMayComeAgain() async throws {
        var limits = TestMember.limits
        limits.inboxCountMax = 8
        let taker = Taker(isHeld: true)
        let second = try TestMember(2, peers: [1: 1], limits: limits, host: .init(take: taker.take))
        let first = try TestMember(1, peers: [2: second.port])
        first.send(1, to: 2)
        taker.waitUntilTaking()

        for number in 2...100 { first.send(UInt64(number), to: 2) }
        _ = try await second.events.first { $0 == .lost(first.id, .crowded) }
        taker.letGo()
        _ = try await first.events.first { event in
            if case .hungUp = event { true } else { false }
        }
        while taker.all.last?.number != 1_000 {
            first.send(1_000, to: 2)
            try await Task.sleep(for: .milliseconds(5))
        }

        let before = taker.all.map(\.number).filter { $0 < 1_000 }
        #expect(before == Array(1...9), "a connection is whole up to its end")
    }
}
