@testable import Replication
import StorageEngine
import Testing

@Suite struct PromotionTests {
    /// The mark of a member of the history, and of one that led and may lead on.
    private static func mark(leads: Bool = false) -> Mark {
        var mark = CoreHarness.mark(promising: Epoch(number: 1, starter: 1), to: leads ? 1 : 2)
        mark.leads = leads
        mark.standing = leads ? .originated : .clear
        return mark
    }

    private static func log(_ count: Int, then epoch: Epoch? = nil) -> PlainLog {
        var log = PlainLog()
        log.begin(Epoch(number: 1, starter: 1))
        for name in 0..<UInt64(count) { log.append(3 * name) }
        if let epoch {
            log.begin(epoch)
            log.append(0)
        }
        return log
    }

    /// Answers the last question that was put to a voter.
    private static func answer(
        _ candidate: inout CoreHarness,
        from number: UInt64,
        tail: Tail,
        promised: Epoch = Epoch(number: 1, starter: 1),
        grants: Bool = true,
        isSuspect: Bool = false
    ) throws {
        let consults = candidate.sent.compactMap { message, to in
            if case .consult(let consult) = message, to == CoreHarness.id(number) {
                consult
            } else {
                nil
            }
        }
        let consult = try #require(consults.last)
        let granted = grants ? consult.epoch : nil
        let answer = Answer(
            nonce: consult.nonce,
            granted: granted,
            promised: granted ?? promised,
            holder: granted == nil ? CoreHarness.id(number) : CoreHarness.id(1),
            isSuspect: isSuspect,
            tail: tail
        )
        candidate.receive(.answer(answer), from: number)
    }

    @Test func nobodyLeadsWithTooFewVoters() throws {
        let log = Self.log(3).outline
        var member = try CoreHarness(
            1,
            of: (5, 2),
            mark: Self.mark(),
            log: log
        )
        member.give(.promote(acceptLoss: false))
        // Three voters are needed, the candidate is one.
        try Self.answer(&member, from: 2, tail: log.tail)
        member.tick(after: 1_000)
        #expect(member.mark.promised == Epoch(number: 1, starter: 1), "nobody is fenced in vain")
        try Self.answer(&member, from: 3, tail: log.tail)
        #expect(member.mark.promised.term > 0 && member.mark.holder == CoreHarness.id(1))
        #expect(member.core.leadership == nil)

        try Self.answer(&member, from: 2, tail: log.tail)
        member.tick(after: 1_000)
        #expect(member.core.leadership == nil)
        try Self.answer(&member, from: 3, tail: log.tail)
        #expect(member.core.leadership?.epoch == member.mark.promised)
        #expect(member.mark.leads)
    }

    @Test func withASuspectAmongThemOneMoreIsNeeded() throws {
        let log = Self.log(3).outline
        var member = try CoreHarness(
            1,
            of: (5, 2),
            mark: Self.mark(),
            log: log
        )
        member.give(.promote(acceptLoss: false))
        for _ in 0..<2 {
            try Self.answer(&member, from: 2, tail: log.tail, isSuspect: true)
            try Self.answer(&member, from: 3, tail: log.tail, isSuspect: true)
            member.tick(after: 1_000)
            #expect(member.core.leadership == nil)
            try Self.answer(&member, from: 4, tail: log.tail)
        }

        #expect(member.core.leadership != nil)
    }

    @Test func anOperatorWhoAcceptsLossIsTold() throws {
        let log = Self.log(3).outline
        var member = try CoreHarness(1, mark: Self.mark(), log: log)
        member.give(.promote(acceptLoss: true))
        for _ in 0..<30 { member.tick(after: 250) }

        #expect(member.core.leadership != nil)
        #expect(member.notices.contains(.lossAccepted(consulted: 1)))
    }

    @Test func aPromotionWithoutVotersFailsAndFencesNobody() throws {
        let log = Self.log(3).outline
        var member = try CoreHarness(1, mark: Self.mark(), log: log)
        member.give(.promote(acceptLoss: false))
        for _ in 0..<60 { member.tick(after: 250) }

        #expect(member.notices.contains(.promotionFailed))
        #expect(member.mark.promised == Epoch(number: 1, starter: 1))
    }

    /// The rank is by epoch: a longer log of an older epoch holds less.
    @Test func theHighestEpochAndSequenceIsAdoptedFirst() throws {
        let own = Self.log(9).outline
        let best = Self.log(3, then: Epoch(term: 4, starter: 4))
        var member = try CoreHarness(1, mark: Self.mark(), log: own)
        member.give(.promote(acceptLoss: false))
        let promised = Epoch(term: 4, starter: 4)
        try Self.answer(&member, from: 2, tail: best.outline.tail, promised: promised)
        try Self.answer(&member, from: 3, tail: own.tail)
        let candidate = member.mark.promised
        #expect(candidate.term > 4)
        try Self.answer(&member, from: 2, tail: best.outline.tail)
        try Self.answer(&member, from: 3, tail: own.tail)
        #expect(member.core.leadership == nil)
        #expect(member.notices.contains(.adopting(from: CoreHarness.id(2), best.outline.tail)))

        member.tick(after: 10)
        let hello = try #require(member.lastHello)
        #expect(hello.isAdopting && hello.promised == candidate)
        let leadership = Leadership(
            epoch: candidate,
            leader: CoreHarness.id(1),
            foundation: best.outline.tail
        )
        let end = best.prefix(3).outline.tail
        let welcome = Welcome(
            nonce: hello.nonce,
            session: 5,
            history: CoreHarness.history,
            leadership: leadership,
            route: [CoreHarness.id(2)],
            log: best.outline,
            course: .cut(to: end)
        )
        member.receive(.welcome(welcome), from: 2)
        // Cutting back, or taking a copy, may take long.
        var slow = member
        for _ in 0..<100 { slow.tick(after: 250) }
        #expect(slow.core.isPromoting && !slow.notices.contains(.promotionFailed))
        member.give(
            .cut(.done(Watermarks(all: end.sequence)), generation: member.core.generation)
        )
        let pack = try #require(best.pack(after: end, count: 10))
        member.receive(.pack(session: 5, epoch: candidate, pack), from: 2)

        #expect(member.core.leadership?.foundation == best.outline.tail)
    }

    // MARK: Reopening

    @Test func afterACleanCloseALeaderLeadsOnInItsTerm() throws {
        let log = Self.log(3).outline
        let leader = try CoreHarness(1, mark: Self.mark(leads: true), log: log)

        let epoch = try #require(leader.core.leadership?.epoch)
        #expect(epoch.number == 2 && epoch == leader.mark.promised)
    }

    @Test func afterAnUncleanEndALeaderAsksTheOthersFirst() throws {
        let log = Self.log(3).outline
        var leader = try CoreHarness(1, mark: Self.mark(leads: true), log: log, isClean: false)
        #expect(leader.core.leadership == nil && leader.core.isSuspect)
        #expect(leader.mark.standing == .suspect)
        // w₀ = 1: both others are needed, as its own log may lack what they acknowledged.
        for _ in 0..<2 {
            try Self.answer(&leader, from: 2, tail: log.tail)
            leader.tick(after: 1_000)
            #expect(leader.core.leadership == nil)
            try Self.answer(&leader, from: 3, tail: log.tail)
        }

        #expect(leader.core.leadership != nil && !leader.core.isSuspect)
    }

    @Test func aCleanCloseInBetweenHidesNothing() throws {
        let log = Self.log(3).outline
        let leader = try CoreHarness(1, mark: Self.mark(leads: true), log: log, isClean: false)
        let again = try CoreHarness(1, mark: leader.mark, log: log, isClean: true)

        #expect(again.core.leadership == nil && again.core.isSuspect)
    }

    @Test func aLeaderThatWasReplacedMeanwhileStepsDown() throws {
        let log = Self.log(3).outline
        var leader = try CoreHarness(1, mark: Self.mark(leads: true), log: log, isClean: false)
        let other = Epoch(term: 3, starter: 8)
        try Self.answer(&leader, from: 2, tail: log.tail, promised: other, grants: false)
        leader.tick(after: 1_000)

        #expect(leader.core.leadership == nil && !leader.mark.leads)
        #expect(leader.mark.standing == .suspect)
    }

    /// A voter that is gone for ever keeps nobody from hearing of the leader that there is.
    @Test func whoDoesNotComeToLeadAsksAgainThoseWhoAnswered() throws {
        let log = Self.log(3).outline
        var leader = try CoreHarness(1, mark: Self.mark(leads: true), log: log, isClean: false)
        try Self.answer(&leader, from: 2, tail: log.tail)
        leader.clear()
        for _ in 0..<50 { leader.tick(after: 250) }
        let other = Epoch(term: 3, starter: 8)
        try Self.answer(&leader, from: 2, tail: log.tail, promised: other, grants: false)

        #expect(leader.core.leadership == nil && !leader.core.isPromoting)
        #expect(!leader.mark.leads && leader.mark.standing == .suspect)
    }

    /// Its directory is an older one of its own: what it made since is with the others only.
    @Test(arguments: [0, 1, 7] as [UInt64])
    func aLeaderThatHoldsAnEpochItKnowsNothingOfIsSuspect(later: UInt64) throws {
        let log = Self.log(3).outline
        var leader = try CoreHarness(1, mark: Self.mark(leads: true), log: log)
        let own = try #require(leader.core.leadership?.epoch)
        let forgotten = Epoch(number: own.number + later, starter: own.starter &+ 1)
        var hello = leader.hello(2, log: log)
        (hello.promised, hello.holder) = (forgotten, CoreHarness.id(1))
        leader.receive(.hello(hello), from: 2)

        #expect(leader.core.leadership == nil && leader.core.isSuspect)
        #expect(leader.mark.promised == forgotten && !leader.mark.leads)
        #expect(leader.mark.standing == .suspect)
        let again = try CoreHarness(1, mark: leader.mark, log: log)
        #expect(again.core.leadership == nil && again.core.isSuspect)
    }

    // MARK: Being consulted

    private static func consult(_ epoch: Epoch?, history: UniqueID = CoreHarness.history) -> Message
    {
        .consult(Consult(history: history, nonce: 4, epoch: epoch))
    }

    private static func lastAnswer(_ member: CoreHarness) -> Answer? {
        for case (.answer(let answer), _) in member.sent.reversed() { return answer }
        return nil
    }

    @Test func aPromiseIsOnDiskBeforeItIsGiven() throws {
        var member = try CoreHarness(1, mark: Self.mark(), log: Self.log(3).outline)
        member.clear()
        let epoch = Epoch(term: 5, starter: 5)
        member.receive(Self.consult(epoch), from: 3)

        let answered = try #require(Self.lastAnswer(member))
        #expect(answered.granted == epoch)
        let persisted = member.actions.firstIndex { action in
            if case .persist(let mark) = action { mark.promised == epoch } else { false }
        }
        let said = member.actions.firstIndex { action in
            if case .send(.answer, _) = action { true } else { false }
        }
        let (first, second) = (try #require(persisted), try #require(said))
        #expect(first < second)
    }

    @Test func anEqualOrLowerEpochOfAnotherIsNotPromised() throws {
        var member = try CoreHarness(1, mark: Self.mark(), log: Self.log(3).outline)
        member.receive(Self.consult(Epoch(term: 5, starter: 5)), from: 3)
        member.receive(Self.consult(Epoch(term: 5, starter: 6)), from: 2)
        #expect(Self.lastAnswer(member)?.granted == nil)
        member.receive(Self.consult(Epoch(term: 4, starter: 6)), from: 2)
        #expect(Self.lastAnswer(member)?.granted == nil)
        #expect(Self.lastAnswer(member)?.promised == Epoch(term: 5, starter: 5))

        member.receive(Self.consult(Epoch(term: 5, starter: 5)), from: 3)
        #expect(Self.lastAnswer(member)?.granted == Epoch(term: 5, starter: 5), "asked again")
    }

    @Test func anotherHistoryIsToldNothing() throws {
        var member = try CoreHarness(1, mark: Self.mark(), log: Self.log(3).outline)
        let before = member.mark
        member.receive(
            Self.consult(Epoch(term: 5, starter: 5), history: CoreHarness.id(55)),
            from: 3
        )

        #expect(member.mark == before)
        #expect(Self.lastAnswer(member) == nil && member.refusals == [.wrongStore])
    }

    @Test func observersAreNotPromisedAnything() throws {
        var member = try CoreHarness(1, mark: Self.mark(), log: Self.log(3).outline)
        let before = member.mark
        member.receive(Self.consult(Epoch(term: 5, starter: 5)), from: 9)

        #expect(member.mark == before && Self.lastAnswer(member) == nil)
    }

    @Test func aMemberWithoutAHistoryIsNotPromoted() throws {
        var member = try CoreHarness(1)
        member.give(.promote(acceptLoss: true))
        for _ in 0..<60 { member.tick(after: 250) }

        #expect(member.core.leadership == nil)
    }

    @Test func aHistoryIsBegunOnlyByAnEmptyMember() throws {
        var member = try CoreHarness(1, mark: Self.mark(), log: Self.log(3).outline)
        member.give(.bootstrap(history: CoreHarness.id(55)))

        #expect(member.core.leadership == nil && member.mark.history == CoreHarness.history)
    }

    /// A backup has no mark: what its log says is promised.
    @Test func theLogSaysWhichEpochWasAccepted() throws {
        var mark = Mark()
        mark.history = CoreHarness.history
        let log = Self.log(3, then: Epoch(term: 4, starter: 4)).outline
        let member = try CoreHarness(1, mark: mark, log: log)

        #expect(member.mark.promised == Epoch(term: 4, starter: 4))
    }
}
