@testable import Replication
import StorageEngine
import Testing

@Suite struct RelayTests {
    @Test func aRelayHandsOnBeatsButMakesNone() throws {
        let leader = FollowerTests.leaderLog(2)
        var relay = try FollowerTests.follower(leader)
        let pack = try #require(leader.pack(after: .zero, count: 2))
        relay.receive(
            .pack(session: FollowerTests.session, epoch: FollowerTests.epoch, pack),
            from: 2
        )
        let beat = Beat(
            session: FollowerTests.session,
            epoch: FollowerTests.epoch,
            count: 1,
            tail: leader.outline.tail,
            route: [CoreHarness.id(2)]
        )
        relay.receive(.beat(beat), from: 2)
        let session = try relay.join(1)
        let welcome = try #require(relay.lastWelcome)
        #expect(welcome.route == [CoreHarness.id(2), CoreHarness.id(3)])
        relay.clear()
        for _ in 0..<10 { relay.tick(after: 100) }
        let made = relay.sent.contains { if case .beat = $0.message { true } else { false } }
        #expect(!made)

        var next = beat
        next.count = 2
        relay.receive(.beat(next), from: 2)
        let handedOn = relay.sent.contains { message, to in
            if case .beat(let beat) = message {
                beat.count == 2 && beat.session == session && to == CoreHarness.id(1)
            } else {
                false
            }
        }
        #expect(handedOn)

        // What member 1 reports goes up under its own name.
        let report = relay.report(1, Watermarks(all: 1), epoch: FollowerTests.epoch)
        relay.receive([report], session, from: 1)
        var upward: [MemberReport] = []
        for case (.report(let report), _) in relay.sent { upward = report.entries }
        #expect(upward.contains(report))
    }

    @Test func nobodyIsFedByWhomItFeeds() throws {
        let leader = FollowerTests.leaderLog(2)
        var relay = try FollowerTests.follower(leader)
        let beat = Beat(
            session: FollowerTests.session,
            epoch: FollowerTests.epoch,
            count: 1,
            tail: leader.outline.tail,
            route: [CoreHarness.id(2), CoreHarness.id(1)]
        )
        relay.receive(.beat(beat), from: 2)
        relay.clear()
        relay.receive(.hello(relay.hello(1)), from: 1)
        #expect(relay.refusals == [.loop])

        var own = beat
        own.count = 2
        own.route.append(CoreHarness.id(3))
        relay.receive(.beat(own), from: 2)
        #expect(relay.notices.contains(.refused(CoreHarness.id(2), .loop)))
    }
}
