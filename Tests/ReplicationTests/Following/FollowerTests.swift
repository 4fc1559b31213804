@testable import Replication
import StorageEngine
import Testing

@Suite struct FollowerTests {
    static let epoch = Epoch(number: 1, starter: 1)
    static let session: UInt64 = 77

    /// The log of the leader, member 2.
    static func leaderLog(_ count: Int) -> PlainLog {
        var log = PlainLog()
        log.begin(epoch)
        for name in 0..<UInt64(count) { log.append(3 * name) }
        return log
    }

    static func welcome(
        _ hello: Hello,
        _ log: LogOutline,
        course: Course = .resume,
        epoch: Epoch = epoch,
        foundation: Tail = .zero,
        history: UniqueID = CoreHarness.history
    ) -> Message {
        .welcome(
            Welcome(
                nonce: hello.nonce,
                session: session,
                history: history,
                leadership: Leadership(
                    epoch: epoch,
                    leader: CoreHarness.id(2),
                    foundation: foundation
                ),
                route: [CoreHarness.id(2)],
                log: log,
                course: course
            )
        )
    }

    /// What member 2 says, which leads from a place on that the log is to be cut back to.
    static func welcome(
        _ hello: Hello,
        _ log: LogOutline,
        cutTo end: Tail,
        of epoch: Epoch
    ) -> Message {
        welcome(hello, log, course: .cut(to: end), epoch: epoch, foundation: end)
    }

    /// Member 3, which follows member 2 from the beginning.
    static func follower(_ leader: PlainLog) throws -> CoreHarness {
        var follower = try CoreHarness(3)
        for _ in 0..<3 {
            follower.tick(after: 2_000)
            if follower.sent.last?.to == CoreHarness.id(2) { break }
        }
        let hello = try #require(follower.lastHello)
        follower.receive(welcome(hello, leader.outline), from: 2)
        follower.clear()
        return follower
    }

    private static func packs(_ member: CoreHarness) -> Int {
        member.actions.count { if case .apply = $0 { true } else { false } }
    }

    private static func lastReport(_ member: CoreHarness) -> MemberReport? {
        for case (.report(let report), _) in member.sent.reversed() { return report.entries.first }
        return nil
    }

    @Test func exactlyWhatComesNextIsTaken() throws {
        let leader = Self.leaderLog(4)
        var follower = try Self.follower(leader)
        let first = try #require(leader.pack(after: .zero, count: 2))
        let second = try #require(leader.pack(after: first.tail, count: 2))
        follower.receive(.pack(session: Self.session, epoch: Self.epoch, first), from: 2)
        follower.receive(.pack(session: Self.session, epoch: Self.epoch, first), from: 2)
        #expect(Self.packs(follower) == 1, "a duplicate is not taken again")
        follower.receive(.pack(session: 5, epoch: Self.epoch, second), from: 2)
        follower.receive(.pack(session: Self.session, epoch: Self.epoch, second), from: 1)
        #expect(Self.packs(follower) == 1, "another session, another member")
        follower.receive(.pack(session: Self.session, epoch: Self.epoch, second), from: 2)

        #expect(Self.packs(follower) == 2)
        #expect(follower.core.log.tail == leader.outline.tail)
    }

    @Test func behindAGapTheFollowerGreetsAgain() throws {
        let leader = Self.leaderLog(4)
        var follower = try Self.follower(leader)
        let first = try #require(leader.pack(after: .zero, count: 1))
        let second = try #require(leader.pack(after: first.tail, count: 1))
        follower.receive(.pack(session: Self.session, epoch: Self.epoch, second), from: 2)

        #expect(Self.packs(follower) == 0)
        #expect(follower.notices.contains(.gap(from: CoreHarness.id(2))))
        #expect(follower.lastHello?.log == .empty)
    }

    @Test func aFeederThatSendsMoreThanWasGrantedIsLeft() throws {
        let leader = Self.leaderLog(3)
        var follower = try Self.follower(leader)
        var first = try #require(leader.pack(after: .zero, count: 1))
        first.size = Settings().windowSize
        let second = try #require(leader.pack(after: first.tail, count: 1))
        follower.receive(.pack(session: Self.session, epoch: Self.epoch, first), from: 2)
        follower.receive(.pack(session: Self.session, epoch: Self.epoch, second), from: 2)

        #expect(Self.packs(follower) == 1)
        #expect(follower.notices.contains(.refused(CoreHarness.id(2), .malformed)))
    }

    @Test func recordsOfAnEpochAboveTheLeadersAreRefused() throws {
        var leader = Self.leaderLog(2)
        var follower = try Self.follower(leader)
        let first = try #require(leader.pack(after: .zero, count: 2))
        follower.receive(.pack(session: Self.session, epoch: Self.epoch, first), from: 2)
        leader.begin(Epoch(number: 2, starter: 2))
        leader.append(3)
        let other = try #require(leader.pack(after: first.tail, count: 1))
        follower.receive(.pack(session: Self.session, epoch: Self.epoch, other), from: 2)

        #expect(Self.packs(follower) == 1)
        #expect(follower.notices.contains(.refused(CoreHarness.id(2), .diverged)))
    }

    @Test func aPointIsReportedWhenItIsReached() throws {
        let leader = Self.leaderLog(2)
        var follower = try Self.follower(leader)
        let pack = try #require(leader.pack(after: .zero, count: 2))
        follower.receive(.pack(session: Self.session, epoch: Self.epoch, pack), from: 2)
        follower.tick(after: 200)
        #expect(Self.lastReport(follower)?.watermarks.received == pack.last)
        #expect(Self.lastReport(follower)?.watermarks.wal == 0)

        var written = Watermarks()
        written.wal = pack.last
        follower.give(.reached(written, generation: follower.core.generation))
        let report = Self.lastReport(follower)
        #expect(report?.watermarks.wal == pack.last && report?.watermarks.disk == 0)
        #expect(report?.epoch == Self.epoch)
    }

    @Test func aPointBeyondTheLogIsNotReported() throws {
        let leader = Self.leaderLog(2)
        var follower = try Self.follower(leader)
        let pack = try #require(leader.pack(after: .zero, count: 1))
        follower.receive(.pack(session: Self.session, epoch: Self.epoch, pack), from: 2)
        follower.give(.reached(Watermarks(all: 99), generation: follower.core.generation))

        #expect(Self.lastReport(follower)?.watermarks.disk == pack.last)
    }

    /// Member 3 has records that the new leader does not have.
    @Test func whatWasReachedBeforeTheLogWasCutBackIsLate() throws {
        let old = Self.leaderLog(6)
        let kept = old.prefix(3)
        var leader = kept
        let epoch = Epoch(term: 2, starter: 2)
        leader.begin(epoch)
        for _ in 0..<5 { leader.append(0) }
        let mark = CoreHarness.mark(promising: Self.epoch, to: 1)
        var follower = try CoreHarness(3, mark: mark, log: old.outline)
        follower.tick(after: 10)
        follower.tick(after: 2_000)
        follower.tick(after: 2_000)
        let hello = try #require(follower.lastHello)
        let before = follower.core.generation
        let end = kept.outline.tail
        follower.receive(Self.welcome(hello, leader.outline, cutTo: end, of: epoch), from: 2)
        follower.clear()
        follower.tick(after: 200)
        #expect(Self.lastReport(follower) == nil, "nothing is said of a log off the line")
        #expect(follower.core.log == old.outline)
        follower.give(
            .cut(.done(Watermarks(all: end.sequence)), generation: follower.core.generation)
        )
        #expect(follower.core.log == kept.outline)
        let pack = try #require(leader.pack(after: end, count: 5))
        follower.receive(.pack(session: Self.session, epoch: epoch, pack), from: 2)
        follower.give(.reached(Watermarks(all: pack.last), generation: before))
        follower.tick(after: 200)

        let report = Self.lastReport(follower)
        #expect(report?.watermarks.received == pack.last)
        #expect(report?.watermarks.disk == end.sequence)
    }

    /// What the log holds is not known while it is being cut back.
    @Test func nobodyIsAnsweredWhileTheLogIsCutBack() throws {
        let old = Self.leaderLog(6)
        let kept = old.prefix(3)
        var leader = kept
        let epoch = Epoch(term: 2, starter: 2)
        leader.begin(epoch)
        leader.append(0)
        var mark = Mark()
        mark.history = CoreHarness.history
        mark.promised = Self.epoch
        var follower = try CoreHarness(3, mark: mark, log: old.outline)
        let hello = try Self.greetingOfTheSecond(&follower)
        let end = kept.outline.tail
        follower.receive(Self.welcome(hello, leader.outline, cutTo: end, of: epoch), from: 2)
        follower.clear()
        let asked = Epoch(term: 7, starter: 7)
        let consult = Message.consult(
            Consult(history: CoreHarness.history, nonce: 1, epoch: asked)
        )
        follower.receive(consult, from: 1)
        #expect(follower.sent.isEmpty)

        follower.give(
            .cut(.done(Watermarks(all: end.sequence)), generation: follower.core.generation)
        )
        follower.receive(consult, from: 1)
        var tails: [Tail] = []
        for case (.answer(let answer), _) in follower.sent { tails.append(answer.tail) }
        #expect(tails == [end])
    }

    /// A member that led and may have lost the end of its log counts again when it holds, on disk,
    /// what a later leader has.
    @Test func aSuspectIsClearedByItsDiskAlone() throws {
        var leader = Self.leaderLog(4)
        let known = leader.prefix(2)
        let epoch = Epoch(term: 2, starter: 2)
        let foundation = leader.outline.tail
        leader.begin(epoch)
        leader.append(0)
        var mark = Mark()
        mark.history = CoreHarness.history
        mark.promised = Self.epoch
        mark.standing = .originated
        var follower = try CoreHarness(3, mark: mark, log: known.outline, isClean: false)
        #expect(follower.core.isSuspect)
        let hello = try Self.greetingOfTheSecond(&follower)
        follower.receive(
            Self.welcome(hello, leader.outline, epoch: epoch, foundation: foundation),
            from: 2
        )
        let beat = Beat(
            session: Self.session,
            epoch: epoch,
            count: 1,
            tail: leader.outline.tail,
            route: [CoreHarness.id(2)]
        )
        follower.receive(.beat(beat), from: 2)
        while let pack = leader.pack(after: follower.core.log.tail, count: 10) {
            follower.receive(.pack(session: Self.session, epoch: epoch, pack), from: 2)
        }
        #expect(follower.core.log.tail == leader.outline.tail && follower.core.isSuspect)
        var points = Watermarks(all: leader.outline.tail.sequence)
        points.disk -= 1
        follower.give(.reached(points, generation: follower.core.generation))
        #expect(follower.core.isSuspect && follower.mark.standing == .suspect)
        points.disk += 1
        follower.give(.reached(points, generation: follower.core.generation))

        #expect(!follower.core.isSuspect && follower.mark.standing == .clear)
    }

    /// Lets a member greet until it greets member 2.
    static func greetingOfTheSecond(_ member: inout CoreHarness) throws -> Hello {
        for _ in 0..<6 {
            member.tick(after: 2_000)
            if member.sent.last?.to == CoreHarness.id(2) { break }
        }
        return try #require(member.lastHello)
    }

    @Test func aCutThatTheTablesDoNotShowIsRefused() throws {
        let log = Self.leaderLog(4)
        let mark = CoreHarness.mark(promising: Self.epoch, to: 2)
        var follower = try CoreHarness(3, mark: mark, log: log.outline)
        follower.tick(after: 10)
        follower.tick(after: 2_000)
        follower.tick(after: 2_000)
        let hello = try #require(follower.lastHello)
        let end = log.prefix(1).outline.tail
        follower.receive(Self.welcome(hello, log.outline, course: .cut(to: end)), from: 2)

        let cuts = follower.actions.contains { if case .cut = $0 { true } else { false } }
        #expect(!cuts && follower.core.log == log.outline)
    }

    @Test func aLeaderOfALowerEpochIsRefusedAndTold() throws {
        let leader = Self.leaderLog(2)
        var follower = try Self.follower(leader)
        let higher = Epoch(term: 3, starter: 3)
        let consult = Consult(history: CoreHarness.history, nonce: 1, epoch: higher)
        follower.receive(.consult(consult), from: 1)
        follower.clear()
        let pack = try #require(leader.pack(after: .zero, count: 1))
        follower.receive(.pack(session: Self.session, epoch: Self.epoch, pack), from: 2)

        #expect(Self.packs(follower) == 0)
        #expect(follower.refusals == [.fenced(by: higher, holder: CoreHarness.id(1))])
    }

    @Test func aWelcomeUnderALowerEpochIsRefusedAndTold() throws {
        let leader = Self.leaderLog(2)
        let higher = Epoch(term: 3, starter: 3)
        let mark = CoreHarness.mark(promising: higher, to: 1)
        var follower = try CoreHarness(3, mark: mark, log: leader.outline)
        let hello = try Self.greetingOfTheSecond(&follower)
        follower.receive(Self.welcome(hello, leader.outline), from: 2)

        #expect(follower.refusals == [.fenced(by: higher, holder: CoreHarness.id(1))])
        #expect(follower.mark.promised == higher && follower.core.feederID == nil)
    }

    @Test func anotherHistoryIsNotTaken() throws {
        let leader = Self.leaderLog(2)
        var mark = Mark()
        mark.history = CoreHarness.history
        var follower = try CoreHarness(3, mark: mark, log: leader.outline)
        let hello = try Self.greetingOfTheSecond(&follower)
        let other = CoreHarness.id(55)
        follower.receive(Self.welcome(hello, leader.outline, history: other), from: 2)

        #expect(follower.core.log == leader.outline)
        #expect(follower.mark.history == CoreHarness.history)
        #expect(follower.refusals == [.wrongStore])
        #expect(follower.notices.contains(.wrongHistory(CoreHarness.id(2))))
    }

    @Test func anOldWelcomeIsNotOne() throws {
        let leader = Self.leaderLog(2)
        var follower = try CoreHarness(3)
        follower.tick(after: 2_000)
        var hello = try #require(follower.lastHello)
        hello.nonce &+= 1
        follower.receive(Self.welcome(hello, leader.outline), from: 2)

        #expect(follower.mark.history == nil)
    }
}
