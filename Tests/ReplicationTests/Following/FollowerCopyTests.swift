@testable import Replication
import StorageEngine
import Testing

/// Copies as a follower's core takes them.
@Suite struct FollowerCopyTests {
    /// Changes that did not go together with the store would not the next time, either.
    @Test func whoNeedsTheWholeStateTakesNoChanges() throws {
        let leader = FollowerTests.leaderLog(6)
        let own = leader.prefix(2)
        var mark = Mark()
        mark.history = CoreHarness.history
        mark.promised = FollowerTests.epoch
        var follower = try CoreHarness(3, mark: mark, log: own.outline)
        follower.core.requireWholeCopy()
        let hello = try FollowerTests.greetingOfTheSecond(&follower)
        follower.receive(FollowerTests.welcome(hello, leader.outline), from: 2)
        #expect(Self.lastFollow(follower)?.needsCopy == true)
        #expect(Self.lastFollow(follower)?.after == own.outline.tail)
        let whole = CopyOffer(id: 5, kind: .base, log: leader.outline, partCount: 1)
        follower.receive(.offer(session: FollowerTests.session, whole), from: 2)
        let part = CopyPart(copy: 5, index: 0, size: 10, payload: 1)
        follower.receive(.part(session: FollowerTests.session, part), from: 2)
        follower.give(.copyAdopted(generation: follower.core.generation))

        #expect(follower.core.log == leader.outline)
        #expect(Self.lastFollow(follower)?.needsCopy == false, "what it has now is whole")
    }

    /// A follower that takes a copy of ten parts, and may hold 1,000 bytes.
    private static func copying(_ leader: PlainLog) throws -> CoreHarness {
        var settings = Settings()
        settings.windowSize = 1_000
        var follower = try CoreHarness(3, settings: settings)
        let hello = try FollowerTests.greetingOfTheSecond(&follower)
        follower.receive(FollowerTests.welcome(hello, leader.outline), from: 2)
        let whole = CopyOffer(id: 5, kind: .base, log: leader.outline, partCount: 10)
        follower.receive(.offer(session: FollowerTests.session, whole), from: 2)
        return follower
    }

    private static func part(_ index: UInt64) -> CopyPart {
        CopyPart(copy: 5, index: index, size: 400, payload: index)
    }

    private static func lastGranted(_ member: CoreHarness) -> UInt64? {
        for case (.report(let report), _) in member.sent.reversed() { return report.granted }
        return nil
    }

    @Test func partsAreGrantedAsTheyAreStored() throws {
        var follower = try Self.copying(FollowerTests.leaderLog(6))
        for index in 0..<2 as Range<UInt64> {
            follower.receive(.part(session: FollowerTests.session, Self.part(index)), from: 2)
        }
        follower.tick(after: 200)
        #expect(Self.lastGranted(follower) == 1_000, "nothing is stored yet")
        follower.give(.partStored(Self.part(0)))
        #expect(Self.lastGranted(follower) == 1_400)
        for index in 2..<4 as Range<UInt64> {
            follower.receive(.part(session: FollowerTests.session, Self.part(index)), from: 2)
        }
        #expect(Self.stored(follower) == 4)
        // 1,200 bytes wait: the next one comes without having been asked for.
        follower.receive(.part(session: FollowerTests.session, Self.part(4)), from: 2)
        #expect(Self.stored(follower) == 4)
        #expect(follower.notices.contains(.refused(CoreHarness.id(2), .malformed)))
    }

    @Test func whatWaitsForTheDiskCountsInTheNextSession() throws {
        let leader = FollowerTests.leaderLog(6)
        var follower = try Self.copying(leader)
        for index in 0..<2 as Range<UInt64> {
            follower.receive(.part(session: FollowerTests.session, Self.part(index)), from: 2)
        }
        follower.receive(.refusal(Refusal(about: FollowerTests.session, reason: .busy)), from: 2)
        let hello = try FollowerTests.greetingOfTheSecond(&follower)
        follower.receive(FollowerTests.welcome(hello, leader.outline), from: 2)
        #expect(Self.lastFollow(follower)?.granted == 200)
        follower.give(.partStored(Self.part(0)))
        #expect(Self.lastGranted(follower) == 600)
    }

    /// Half a second passes after each beat of member 2.
    private static func beat(_ follower: inout CoreHarness, _ counts: ClosedRange<UInt64>) {
        for count in counts {
            let beat = Beat(
                session: FollowerTests.session,
                epoch: FollowerTests.epoch,
                count: count,
                tail: FollowerTests.leaderLog(6).outline.tail,
                route: [CoreHarness.id(2)]
            )
            follower.receive(.beat(beat), from: 2)
            follower.tick(after: 500)
        }
    }

    @Test func aFollowerThatWaitsForItsOwnDiskKeepsItsFeeder() throws {
        var follower = try Self.copying(FollowerTests.leaderLog(6))
        follower.receive(.part(session: FollowerTests.session, Self.part(0)), from: 2)
        Self.beat(&follower, 1...40)
        #expect(!follower.notices.contains(.lostFeeder(CoreHarness.id(2))))
        follower.give(.partStored(Self.part(0)))
        Self.beat(&follower, 41...60)
        #expect(follower.notices.contains(.lostFeeder(CoreHarness.id(2))), "now nothing comes")
    }

    private static func stored(_ member: CoreHarness) -> Int {
        member.actions.count { if case .storePart = $0 { true } else { false } }
    }

    private static func lastFollow(_ member: CoreHarness) -> Follow? {
        for case (.follow(let follow), _) in member.sent.reversed() { return follow }
        return nil
    }
}
