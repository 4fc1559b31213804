@testable import Replication
import StorageEngine
import Testing

/// Who begins a history, and who does not.
@Suite struct FoundingTests {
    private static let history = UniqueID(high: 55, low: 5)

    /// Member 1 of three, which asks whether it may begin.
    private static func founder() throws -> CoreHarness {
        var founder = try CoreHarness(1)
        founder.give(.bootstrap(history: history, patience: 5_000))
        return founder
    }

    private static func consults(_ member: CoreHarness) -> [(consult: Consult, to: UniqueID)] {
        member.sent.compactMap { message, receiver in
            if case .consult(let consult) = message { (consult, receiver) } else { nil }
        }
    }

    /// What a member said to member 2 to be fed.
    private static func greetings(_ member: CoreHarness) -> [Hello] {
        member.sent.compactMap { message, receiver in
            guard case .hello(let hello) = message, receiver == CoreHarness.id(2) else {
                return nil
            }
            return hello
        }
    }

    /// What another member says to the question that the founder asked it last.
    private static func ask(
        _ other: inout CoreHarness,
        _ number: UInt64,
        for founder: inout CoreHarness
    )
        throws
    {
        let asked = try #require(Self.consults(founder).last { $0.to == CoreHarness.id(number) })
        other.clear()
        other.receive(.consult(asked.consult), from: 1)
        for (message, receiver) in other.sent where receiver == CoreHarness.id(1) {
            founder.receive(message, from: number)
        }
    }

    /// A member with a log that nobody feeds.
    private static func orphan(_ number: UInt64) throws -> CoreHarness {
        let mark = CoreHarness.mark(promising: FollowerTests.epoch, to: 1)
        return try CoreHarness(number, mark: mark, log: FollowerTests.leaderLog(4).outline)
    }

    @Test func aHistoryBeginsOnceAllVotersSayThatTheyHaveNone() throws {
        var founder = try Self.founder()
        #expect(founder.core.leadership == nil && founder.core.isFounding)
        var (second, third) = (try CoreHarness(2), try CoreHarness(3))
        try Self.ask(&second, 2, for: &founder)
        #expect(founder.core.leadership == nil, "one was not heard of")
        try Self.ask(&third, 3, for: &founder)

        #expect(founder.core.leadership != nil && founder.mark.history == Self.history)
        #expect(second.mark.history == nil && second.mark.promised == .none, "nobody is fenced")
    }

    @Test func anEmptiedVoterBeginsNoSecondHistory() throws {
        var founder = try Self.founder()
        var (second, third) = (try CoreHarness(2), try Self.orphan(3))
        try Self.ask(&second, 2, for: &founder)
        try Self.ask(&third, 3, for: &founder)
        founder.tick(after: 6_000)

        #expect(founder.notices.contains(.historyFound(at: CoreHarness.id(3))))
        #expect(founder.core.leadership == nil && founder.mark.history == nil)
        #expect(!founder.core.isFounding)
    }

    @Test func aVoterWhoseLogIsBeingReplacedStillShowsItsHistory() throws {
        var founder = try Self.founder()
        var third = try Self.orphan(3)
        let epoch = Epoch(term: 2, starter: 2)
        var leader = FollowerTests.leaderLog(4).prefix(2)
        let end = leader.outline.tail
        leader.begin(epoch)
        leader.append(0)
        for _ in 0..<6 {
            third.tick(after: 2_000)
            if third.sent.last?.to == CoreHarness.id(2) { break }
        }
        let hello = try #require(third.lastHello)
        let welcome = FollowerTests.welcome(hello, leader.outline, cutTo: end, of: epoch)
        third.receive(welcome, from: 2)
        try Self.ask(&third, 3, for: &founder)

        #expect(founder.notices.contains(.historyFound(at: CoreHarness.id(3))))
    }

    @Test func whoCannotBeAskedIsNamed() throws {
        var founder = try Self.founder()
        var second = try CoreHarness(2)
        try Self.ask(&second, 2, for: &founder)
        founder.tick(after: 300)
        let asked = Self.consults(founder).filter { $0.to == CoreHarness.id(3) }
        #expect(asked.count == 2, "it is asked again")
        founder.tick(after: 5_000)

        #expect(founder.notices.contains(.begunWithout([CoreHarness.id(3)])))
        #expect(founder.core.leadership != nil)
    }

    @Test func ofTwoThatBeginAtOnceNeitherDoes() throws {
        var founder = try Self.founder()
        var second = try CoreHarness(2)
        second.give(.bootstrap(history: UniqueID(high: 66, low: 6), patience: 5_000))
        try Self.ask(&second, 2, for: &founder)
        for member in [founder, second] {
            #expect(member.core.leadership == nil && !member.core.isFounding)
            #expect(member.mark.history == nil)
        }
    }

    @Test func whoIsFedMeanwhileBeginsNothing() throws {
        var founder = try CoreHarness(3)
        founder.give(.bootstrap(history: Self.history, patience: 60_000))
        for _ in 0..<6 where Self.greetings(founder).isEmpty { founder.tick(after: 2_000) }
        let leader = FollowerTests.leaderLog(2)
        let hello = try #require(Self.greetings(founder).last)
        founder.receive(FollowerTests.welcome(hello, leader.outline), from: 2)

        #expect(founder.notices.contains(.historyFound(at: CoreHarness.id(2))))
        #expect(founder.mark.history == CoreHarness.history && founder.core.leadership == nil)
    }

    @Test func aStrangersAnswerCountsForNothing() throws {
        var founder = try Self.founder()
        let nonce = try #require(Self.consults(founder).first?.consult.nonce)
        let refusal = Refusal(about: nonce, reason: .wrongStore)
        founder.receive(.refusal(refusal), from: 9)
        let stale = Refusal(about: nonce &+ 1, reason: .wrongStore)
        founder.receive(.refusal(stale), from: 2)
        #expect(founder.core.isFounding)
    }
}
