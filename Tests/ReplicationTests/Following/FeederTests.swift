import StorageEngine
import Testing

@testable import Replication

@Suite struct FeederTests {
    /// What the leader asked its host to read last.
    private static func lastFetch(_ leader: CoreHarness) -> (after: Tail, size: UInt64)? {
        for case .fetch(_, _, let after, let size) in leader.actions.reversed() {
            return (after, size)
        }
        return nil
    }

    private static func pack(from before: Tail, to after: Tail, size: UInt64) -> Pack {
        Pack(
            from: before,
            to: after,
            beginning: before.epoch == after.epoch ? [] : [after.epoch],
            first: before.sequence + 1,
            size: size,
            payload: 0
        )
    }

    @Test func noMoreIsSentThanTheFollowerHasRoomFor() throws {
        var settings = Settings()
        settings.windowSize = 1_000
        settings.packSizeMax = 600
        var leader = try CoreHarness.leader(settings: settings)
        let session = try leader.join(2)
        let first = try leader.append()
        let second = try leader.append()
        try leader.append()
        #expect(Self.lastFetch(leader)?.size == 600)
        leader.clear()
        leader.give(
            .fetched(session: session, .pack(Self.pack(from: .zero, to: first, size: 600)))
        )
        #expect(Self.lastFetch(leader)?.after == first && Self.lastFetch(leader)?.size == 400)
        leader.clear()
        leader.give(
            .fetched(session: session, .pack(Self.pack(from: first, to: second, size: 400)))
        )
        #expect(Self.lastFetch(leader) == nil, "the window is full")

        // What the follower grants beyond this side's window is not believed.
        leader.receive([leader.report(2, Watermarks())], session, from: 2)
        #expect(Self.lastFetch(leader)?.size == 600)
    }

    // MARK: Catching up

    @Test func whoIsBehindGetsNoMoreThanItsShareAndThenEverythingAtOnce() throws {
        var settings = Settings()
        settings.catchUpRate = 2_000
        var leader = try CoreHarness.leader(settings: settings)
        let ends = try (0..<6).map { _ in try leader.append() }
        let session = try leader.join(2)
        #expect(leader.core.catchingUp == [session])
        #expect(Self.lastFetch(leader)?.size == 1_000, "half a second's worth")
        leader.clear()
        leader.give(
            .fetched(session: session, .pack(Self.pack(from: .zero, to: ends[2], size: 1_000)))
        )
        #expect(Self.lastFetch(leader) == nil)
        leader.tick(after: 499)
        try leader.append()
        #expect(Self.lastFetch(leader) == nil, "neither time nor records make it sooner")
        leader.tick(after: 1)
        #expect(Self.lastFetch(leader)?.after == ends[2])

        let end = leader.core.log.tail
        leader.clear()
        leader.give(
            .fetched(session: session, .pack(Self.pack(from: ends[2], to: end, size: 1_000)))
        )
        #expect(leader.core.catchingUp.isEmpty)
        let next = try leader.append()
        #expect(Self.lastFetch(leader)?.after == end)
        #expect(Self.lastFetch(leader)?.size == settings.packSizeMax)
        leader.clear()
        try leader.append()
        leader.give(
            .fetched(session: session, .pack(Self.pack(from: end, to: next, size: 90_000)))
        )
        #expect(Self.lastFetch(leader)?.after == next, "who was live once waits no more")
    }

    @Test func allWhoAreBehindShareWhatThereIs() throws {
        var settings = Settings()
        settings.catchUpRate = 4_000
        var leader = try CoreHarness.leader(settings: settings)
        let ends = try (0..<4).map { _ in try leader.append() }
        let first = try leader.join(2)
        let second = try leader.join(3)
        #expect(Self.lastFetch(leader)?.size == 1_000)
        leader.clear()
        for session in [first, second] {
            let pack = Self.pack(from: .zero, to: ends[0], size: 1_000)
            leader.give(.fetched(session: session, .pack(pack)))
        }
        leader.tick(after: 499)
        #expect(Self.lastFetch(leader) == nil)
        leader.tick(after: 1)
        let fetches = leader.actions.count { if case .fetch = $0 { true } else { false } }
        #expect(fetches == 2)
    }

    @Test func aHugeRecordDoesNotMakeAFollowerLookStalled() throws {
        var settings = Settings()
        settings.catchUpRate = 1
        var leader = try CoreHarness.leader(settings: settings)
        let first = try leader.append()
        try leader.append()
        let session = try leader.join(2)
        leader.clear()
        leader.give(
            .fetched(session: session, .pack(Self.pack(from: .zero, to: first, size: 1 << 19)))
        )
        leader.receive([leader.report(2, Watermarks())], session, from: 2)
        leader.tick(after: settings.stallMax / 2)
        #expect(Self.lastFetch(leader)?.after == first)
    }

    @Test func aGreetingThatComesLateOrTwiceIsNone() throws {
        var leader = try CoreHarness.leader()
        try leader.append()
        _ = try leader.join(2, incarnation: 2, attempt: 5)
        leader.clear()
        leader.receive(.hello(leader.hello(2, incarnation: 2, attempt: 5)), from: 2)
        leader.receive(.hello(leader.hello(2, incarnation: 2, attempt: 4)), from: 2)
        leader.receive(.hello(leader.hello(2, incarnation: 1, attempt: 9)), from: 2)
        #expect(leader.sent.isEmpty)
        leader.receive(.hello(leader.hello(2, incarnation: 3, attempt: 1)), from: 2)

        #expect(leader.lastWelcome != nil)
    }

    @Test func somebodyElsesGreetingIsNone() throws {
        var leader = try CoreHarness.leader()
        leader.clear()
        leader.receive(.hello(leader.hello(2)), from: 3)

        #expect(leader.sent.isEmpty)
    }

    @Test func otherHistoriesAndRolesAreRefused() throws {
        var leader = try CoreHarness.leader()
        var log = PlainLog()
        log.begin(Epoch(number: 1, starter: 1))
        log.append(0)
        var other = leader.hello(2, log: log.outline)
        other.history = CoreHarness.id(55)
        other.promised = Epoch(term: 100, starter: 1)
        other.holder = CoreHarness.id(2)
        leader.receive(.hello(other), from: 2)
        #expect(leader.refusals == [.wrongStore])
        #expect(leader.core.leadership != nil, "an epoch of another history deposes nobody")

        leader.receive(.hello(leader.hello(3, role: .observer)), from: 3)
        leader.receive(.hello(leader.hello(8, role: .voter)), from: 8)
        #expect(leader.refusals == [.wrongStore, .wrongRole, .wrongRole])
    }

    @Test func sessionsAreLimited() throws {
        var settings = Settings()
        settings.sessionsMax = 2
        var leader = try CoreHarness.leader(settings: settings)
        for number in 10..<15 as Range<UInt64> {
            leader.receive(.hello(leader.hello(number, role: .observer)), from: number)
        }

        #expect(leader.refusals == [.busy, .busy, .busy])
    }

    @Test func whoIsSilentIsSentAway() throws {
        var leader = try CoreHarness.leader()
        _ = try leader.join(2)
        leader.tick(after: 3_000)
        leader.tick(after: 1_000)
        leader.clear()
        leader.tick(after: 1_000)
        let beats = leader.sent.contains { if case .beat = $0.message { true } else { false } }

        #expect(!beats)
    }

    @Test func aLeaderThatNobodyFollowsAsksAndStepsDown() throws {
        var leader = try CoreHarness.leader()
        for _ in 0..<40 { leader.tick(after: 100) }
        let consults = leader.sent.compactMap { message, _ in
            if case .consult(let consult) = message { consult } else { nil }
        }
        let consult = try #require(consults.last)
        #expect(consult.epoch == nil, "it asks, and fences nobody")
        let answer = Answer(
            nonce: consult.nonce,
            granted: nil,
            promised: Epoch(term: 4, starter: 4),
            holder: CoreHarness.id(3),
            isSuspect: false,
            tail: .zero
        )
        leader.receive(.answer(answer), from: 3)

        #expect(leader.core.leadership == nil)
    }

    /// What it sent may be cut back: whoever was promised the next epoch must not take it for what
    /// another history made of the log.
    @Test func whoFindsALaterLeaderNoLongerFeedsTheCandidate() throws {
        let log = FollowerTests.leaderLog(4)
        let candidate = Epoch(term: 3, starter: 3)
        let mark = CoreHarness.mark(promising: candidate, to: 1)
        var member = try CoreHarness(3, mark: mark, log: log.outline)
        let greeting = try FollowerTests.greetingOfTheSecond(&member)
        var hello = member.hello(1, log: log.prefix(1).outline)
        hello.isAdopting = true
        hello.promised = candidate
        member.receive(.hello(hello), from: 1)
        #expect(member.core.sessions.count == 1)
        member.clear()

        let end = log.prefix(1).outline.tail
        var later = log.prefix(1)
        let epoch = Epoch(term: 4, starter: 2)
        later.begin(epoch)
        later.append(1)
        member.receive(
            FollowerTests.welcome(greeting, later.outline, cutTo: end, of: epoch),
            from: 2
        )

        #expect(member.core.sessions.isEmpty)
        #expect(member.refusals == [.notLeader(hint: CoreHarness.id(2))])
        #expect(member.mark.promised == epoch)
    }

    @Test func aTrimmedLogIsReplacedByACopyThatResumes() throws {
        var leader = try CoreHarness.leader()
        let session = try leader.join(2)
        let tail = try leader.append()
        leader.give(.fetched(session: session, .trimmed))
        let opens = leader.actions.contains {
            if case .openCopy(session, .zero, nil, false) = $0 { true } else { false }
        }
        #expect(opens)
        let offer = CopyOffer(id: 3, kind: .base, log: leader.core.log, partCount: 4)
        leader.give(.copyOpened(session: session, offer))
        leader.clear()
        // The follower has two parts of it already.
        leader.receive(.take(Take(session: session, copy: 3, from: 2)), from: 2)
        for index in [2, 3] as [UInt64] {
            let reads = leader.actions.contains {
                if case .readPart(session, 3, index) = $0 { true } else { false }
            }
            #expect(reads, "part \(index)")
            let part = CopyPart(copy: 3, index: index, size: 10, payload: index)
            leader.give(.partRead(session: session, part))
        }
        let parts = leader.sent.compactMap { message, _ -> UInt64? in
            if case .part(_, let part) = message { part.index } else { nil }
        }
        #expect(parts == [2, 3])

        // The stream goes on behind the copy.
        try leader.append()
        leader.clear()
        let follow = Follow(
            session: session,
            after: tail,
            granted: 1 << 20,
            needsCopy: false,
            copy: nil
        )
        leader.receive(.follow(follow), from: 2)
        #expect(Self.lastFetch(leader)?.after == tail)
    }

    @Test func whoIsSentSomethingSaysAnewWhereItsLogEndsBeforeItIsCopied() throws {
        var leader = try CoreHarness.leader()
        let session = try leader.join(2)
        let tail = try leader.append()
        leader.give(
            .fetched(session: session, .pack(Self.pack(from: .zero, to: tail, size: 100)))
        )
        try leader.append()
        leader.clear()
        leader.give(.fetched(session: session, .trimmed))
        let opens = leader.actions.contains { if case .openCopy = $0 { true } else { false } }

        #expect(!opens)
        #expect(leader.refusals == [.busy])
        #expect(leader.core.sessions.isEmpty)
    }

    @Test func aFollowerThatCannotBeCutIsOfferedEverything() throws {
        var leader = try CoreHarness.leader()
        let tail = try leader.append()
        leader.receive(.hello(leader.hello(2)), from: 2)
        let welcome = try #require(leader.lastWelcome)
        let follow = Follow(
            session: welcome.session,
            after: tail,
            granted: 1 << 20,
            needsCopy: true,
            copy: nil
        )
        leader.receive(.follow(follow), from: 2)
        let opens = leader.actions.contains {
            if case .openCopy(welcome.session, tail, nil, true) = $0 { true } else { false }
        }
        #expect(opens)
    }
}
