@testable import Replication
import StorageEngine
import StorageEngineTestSupport
import Testing

@Suite struct LeaderTests {
    private static func at(_ point: ReplicaPoint, _ sequence: UInt64) -> Watermarks {
        var watermarks = Watermarks()
        watermarks.received = sequence
        switch point {
        case .received: break
        case .wal: watermarks.wal = sequence
        case .disk:
            watermarks.wal = sequence
            watermarks.disk = sequence
        case .applied: watermarks.applied = sequence
        }
        return watermarks
    }

    /// Asynchronous, at least one, semi-synchronous, fully synchronous: one store, mixed.
    @Test(arguments: ReplicaPoint.allCases)
    func eachWriteWaitsForWhatItAskedFor(_ point: ReplicaPoint) throws {
        var leader = try CoreHarness.leader(voters: 4)
        let second = try leader.join(2)
        let third = try leader.join(3)
        let fourth = try leader.join(4)
        try leader.write(1, .none)
        try leader.write(2, .followers(1, at: point))
        try leader.write(3, .followers(2, at: point))
        try leader.write(4, .allFollowers(at: point))
        let end = leader.core.log.tail.sequence
        func acked() -> [Bool] { (1...4).map { leader.isAcked($0) } }

        #expect(acked() == [true, false, false, false])
        leader.receive([leader.report(2, Self.at(point, end))], second, from: 2)
        #expect(acked() == [true, true, false, false])
        leader.receive([leader.report(3, Self.at(point, end - 2))], third, from: 3)
        #expect(acked() == [true, true, false, false], "the second largest is below")
        leader.receive([leader.report(3, Self.at(point, end - 1))], third, from: 3)
        #expect(acked() == [true, true, true, false])
        leader.receive([leader.report(4, Self.at(point, end))], fourth, from: 4)
        #expect(acked() == [true, true, true, false])
        leader.receive([leader.report(3, Self.at(point, end))], third, from: 3)
        #expect(acked() == [true, true, true, true])
    }

    @Test func whatIsNeededOfFollowersIsThatOfTheLongestWait() throws {
        var leader = try CoreHarness.leader()
        let second = try leader.join(2)
        try leader.write(1, .none, local: .disk)
        #expect(leader.core.awaited == nil, "it waits for the leader's own disk")
        try leader.write(2, .followers(1, at: .wal))
        leader.now += 1
        try leader.write(3, .allFollowers(at: .received))
        var awaited = try #require(leader.core.awaited)
        #expect(awaited == (2, .wal))
        leader.receive([leader.report(2, Self.at(.wal, 3))], second, from: 2)
        awaited = try #require(leader.core.awaited)
        #expect(awaited == (3, .received))
        let third = try leader.join(3)
        leader.receive([leader.report(3, Self.at(.received, 3))], third, from: 3)
        #expect(leader.core.awaited == nil)
    }

    @Test(arguments: UInt64(0)..<100)
    func aWriteIsDoneWhenTheKthLargestReportReachesIt(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var leader = try CoreHarness.leader(voters: 5)
        let sessions = try (2...5).map { try leader.join(UInt64($0)) }
        var asked: [(ticket: UInt64, followers: Int, sequence: UInt64)] = []
        for ticket in 1...UInt64(20) {
            let followers = Int.random(in: 0...4, using: &generator)
            try leader.write(ticket, .followers(followers, at: .disk))
            asked.append((ticket, followers, leader.core.log.tail.sequence))
        }
        var disks = [UInt64](repeating: 0, count: 4)
        for _ in 0..<30 {
            let follower = Int.random(in: 0..<4, using: &generator)
            let sequence = UInt64.random(in: 0...20, using: &generator)
            disks[follower] = max(disks[follower], sequence)
            leader.receive(
                [leader.report(UInt64(follower) + 2, Self.at(.disk, sequence))],
                sessions[follower],
                from: UInt64(follower) + 2
            )
            for write in asked {
                let isDone =
                    write.followers == 0
                    || disks.sorted(by: >)[write.followers - 1] >= write.sequence
                #expect(leader.isAcked(write.ticket) == isDone, "seed \(seed)")
            }
        }
    }

    @Test func theLocalPointIsWaitedForToo() throws {
        var leader = try CoreHarness.leader()
        let session = try leader.join(2)
        try leader.write(1, .followers(1, at: .wal), local: .disk)
        leader.receive([leader.report(2, Self.at(.disk, 1))], session, from: 2)
        #expect(!leader.isAcked(1))

        leader.give(.reached(Self.at(.wal, 1), generation: leader.core.generation))
        #expect(!leader.isAcked(1))
        leader.give(.reached(Self.at(.disk, 1), generation: leader.core.generation))
        #expect(leader.isAcked(1))
    }

    @Test func observersOtherEpochsOldOpeningsAndTheLeaderItselfDoNotCount() throws {
        var leader = try CoreHarness.leader(voters: 3)
        let observer = try leader.join(7, role: .observer)
        let session = try leader.join(2, incarnation: 4)
        try leader.write(1, .followers(1, at: .received))
        leader.receive([leader.report(7, Self.at(.disk, 1))], observer, from: 7)
        leader.receive([leader.report(1, Self.at(.disk, 1))], session, from: 2)
        let other = Epoch(number: 1, starter: 5)
        leader.receive([leader.report(2, Self.at(.disk, 1), epoch: other)], session, from: 2)
        leader.receive([leader.report(3, Self.at(.disk, 1))], session + 1, from: 3)
        #expect(!leader.isAcked(1))

        // A relay hands on what the third member reported, in its fifth opening; then what it had
        // reported in its fourth one arrives.
        leader.receive(
            [leader.report(3, Watermarks(), incarnation: 5)],
            session,
            from: 2
        )
        leader.receive([leader.report(3, Self.at(.disk, 1), incarnation: 4)], session, from: 2)
        #expect(!leader.isAcked(1))
        leader.receive([leader.report(3, Self.at(.disk, 1), incarnation: 5)], session, from: 2)
        #expect(leader.isAcked(1))
    }

    @Test func aReportBeyondTheEndOfTheLogIsNotBelieved() throws {
        var leader = try CoreHarness.leader()
        let session = try leader.join(2)
        try leader.write(1, .followers(1, at: .received))
        leader.receive([leader.report(2, Self.at(.disk, 9))], session, from: 2)

        #expect(!leader.isAcked(1))
        #expect(leader.notices.contains(.aheadReport(CoreHarness.id(2))))
    }

    @Test func oneMemberTwiceIsOneFollower() throws {
        var leader = try CoreHarness.leader(voters: 3)
        let first = try leader.join(2)
        let second = try leader.join(2, attempt: 2)
        try leader.write(1, .followers(2, at: .received))
        leader.receive([leader.report(2, Self.at(.disk, 1))], first, from: 2)
        leader.receive([leader.report(2, Self.at(.disk, 1))], second, from: 2)

        #expect(!leader.isAcked(1))
    }

    @Test func moreFollowersThanThereAreFailAtTheCall() throws {
        let leader = try CoreHarness.leader(voters: 3)

        #expect(leader.core.admits(.followers(2, at: .disk)))
        #expect(!leader.core.admits(.followers(3, at: .disk)))
        #expect(!leader.core.admits(.followers(-1, at: .disk)))
        #expect(leader.core.admits(.allFollowers(at: .applied)))
    }

    // MARK: Shortfall

    @Test func aWriteThatIsShortIsIndeterminateAndItsReceiptIsHonest() throws {
        var settings = Settings()
        settings.shortfall = .fail(after: 500)
        var leader = try CoreHarness.leader(voters: 4, settings: settings)
        let session = try leader.join(2)
        try leader.write(1, .followers(2, at: .disk))
        leader.receive([leader.report(2, Self.at(.wal, 1))], session, from: 2)
        leader.tick(after: 499)
        #expect(leader.outcomes.isEmpty)
        leader.tick(after: 1)

        guard case .indeterminate(let receipt, .tooFewFollowers)? = leader.outcomes[1] else {
            Issue.record("\(leader.outcomes)")
            return
        }
        #expect(receipt.followers == [1, 1, 0, 0])
        #expect(receipt.local == .memory)
        #expect(!receipt.isDegraded)
    }

    @Test func aWriteThatMayWaitWaits() throws {
        var settings = Settings()
        settings.shortfall = .wait
        var leader = try CoreHarness.leader(settings: settings)
        let session = try leader.join(2)
        try leader.write(1, .allFollowers(at: .disk))
        try leader.write(2, .followers(1, at: .disk))
        for _ in 0..<100 {
            leader.tick(after: 1_000)
            leader.receive([leader.report(2, Watermarks())], session, from: 2)
        }
        #expect(leader.outcomes.isEmpty)

        leader.receive([leader.report(2, Self.at(.disk, 2))], session, from: 2)
        #expect(leader.isAcked(2) && !leader.isAcked(1))
    }

    @Test func aDegradedStoreSaysSoUntilEnoughFollowersAreBackForLong() throws {
        var settings = Settings()
        settings.shortfall = .degrade(floor: 1, after: 500)
        settings.rejoinLag = 0
        settings.rejoinHold = 1_000
        var leader = try CoreHarness.leader(voters: 3, settings: settings)
        let second = try leader.join(2)
        let third = try leader.join(3)
        try leader.write(1, .followers(2, at: .disk))
        leader.receive([leader.report(2, Self.at(.disk, 1))], second, from: 2)
        leader.tick(after: 499)
        #expect(!leader.core.isDegraded && leader.outcomes.isEmpty)
        leader.tick(after: 1)
        #expect(leader.core.isDegraded)
        #expect(leader.notices.contains(.degraded(followers: 2, at: .disk)))
        guard case .acked(let receipt)? = leader.outcomes[1] else {
            Issue.record("\(leader.outcomes)")
            return
        }
        #expect(receipt.isDegraded && receipt.followers == [1, 1, 1, 0])

        // Back, but not for long enough; then away again.
        leader.receive([leader.report(3, Self.at(.disk, 1))], third, from: 3)
        leader.tick(after: 100)
        leader.tick(after: 900)
        try leader.write(2, .followers(2, at: .disk))
        leader.receive([leader.report(2, Self.at(.disk, 2))], second, from: 2)
        leader.tick(after: 500)
        #expect(leader.core.isDegraded && leader.isAcked(2))

        leader.receive([leader.report(3, Self.at(.disk, 2))], third, from: 3)
        leader.tick(after: 10)
        leader.tick(after: 999)
        #expect(leader.core.isDegraded)
        leader.tick(after: 1)
        #expect(!leader.core.isDegraded && leader.notices.contains(.restored))
    }

    @Test func belowItsFloorADegradedStoreFails() throws {
        var settings = Settings()
        settings.shortfall = .degrade(floor: 1, after: 500)
        var leader = try CoreHarness.leader(voters: 3, settings: settings)
        try leader.write(1, .followers(2, at: .disk))
        leader.tick(after: 500)

        guard case .indeterminate(_, .tooFewFollowers)? = leader.outcomes[1] else {
            Issue.record("\(leader.outcomes)")
            return
        }
    }

    // MARK: Fences

    @Test func aHigherEpochEndsTheLeadAndEverythingThatWaits() throws {
        var leader = try CoreHarness.leader()
        let session = try leader.join(2)
        try leader.write(1, .followers(1, at: .disk))
        let higher = Epoch(term: 9, starter: 3)
        let report = Report(
            session: session,
            promised: higher,
            holder: CoreHarness.id(3),
            granted: 0,
            entries: []
        )
        leader.receive(.report(report), from: 2)

        #expect(leader.core.leadership == nil)
        #expect(leader.mark.promised == higher && !leader.mark.leads)
        guard case .indeterminate(_, .noLongerLeading)? = leader.outcomes[1] else {
            Issue.record("\(leader.outcomes)")
            return
        }
    }

    @Test func anObserverDeposesNobody() throws {
        var leader = try CoreHarness.leader()
        let session = try leader.join(7, role: .observer)
        let report = Report(
            session: session,
            promised: Epoch(term: 9, starter: 3),
            holder: CoreHarness.id(3),
            granted: 0,
            entries: []
        )
        leader.receive(.report(report), from: 7)
        var later = leader.hello(8, role: .observer)
        later.history = CoreHarness.history
        later.promised = Epoch(term: 9, starter: 3)
        later.holder = CoreHarness.id(3)
        leader.receive(.hello(later), from: 8)

        #expect(leader.core.leadership != nil)
        #expect(leader.refusals == [.notLeader(hint: nil)], "nor is it fed")
    }

    @Test func aConfirmationNeedsABeatThatWasMadeAfterIt() throws {
        var leader = try CoreHarness.leader(voters: 3)
        let session = try leader.join(2)
        try leader.write(1, .none)
        leader.tick(after: 200)
        leader.receive([leader.report(2, Self.at(.disk, 1), beat: 1)], session, from: 2)
        leader.give(.confirm(ticket: 7, .followers(1, at: .disk)))
        leader.receive([leader.report(2, Self.at(.disk, 1), beat: 1)], session, from: 2)
        #expect(!leader.isAcked(7))

        leader.tick(after: 200)
        leader.receive([leader.report(2, Self.at(.disk, 1), beat: 2)], session, from: 2)
        #expect(leader.isAcked(7))
    }

    @Test func aConfirmationBeginsTheEpochFirst() throws {
        var leader = try CoreHarness.leader(voters: 3)
        let session = try leader.join(2)
        leader.give(.confirm(ticket: 7, .followers(1, at: .disk)))
        let asks = leader.actions.contains { if case .appendNoOp = $0 { true } else { false } }
        #expect(asks)
        leader.tick(after: 200)
        leader.receive([leader.report(2, Watermarks(), beat: 1)], session, from: 2)
        #expect(!leader.isAcked(7))

        try leader.append()
        leader.receive([leader.report(2, Self.at(.disk, 1), beat: 1)], session, from: 2)
        #expect(leader.isAcked(7))
    }
}
