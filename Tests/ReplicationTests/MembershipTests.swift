@testable import Replication
import StorageEngine
import Testing

@Suite struct MembershipTests {
    private static func ids(_ count: Int) -> [UniqueID] {
        (1...UInt64(count)).map { UniqueID(high: $0, low: 0) }
    }

    /// All subsets of the voters, as bits.
    private static func subsets(_ count: Int) -> Range<Int> { 0..<(1 << count) }

    @Test(arguments: 2...6)
    func consultedMeetEveryLeaderWithItsFollowers(_ count: Int) throws {
        for followers in 1..<count {
            let membership = try Membership(voters: Self.ids(count), failoverFollowers: followers)
            for consulted in Self.subsets(count)
            where consulted.nonzeroBitCount == membership.consultedMin {
                for held in Self.subsets(count) where held.nonzeroBitCount == followers + 1 {
                    #expect(consulted & held != 0, "\(count) voters, w₀ = \(followers)")
                }
            }
        }
    }

    @Test(arguments: 2...6)
    func oneMoreConsultedMeetTheFollowersAlone(_ count: Int) throws {
        for followers in 1..<count {
            let membership = try Membership(voters: Self.ids(count), failoverFollowers: followers)
            for consulted in Self.subsets(count)
            where consulted.nonzeroBitCount == membership.consultedMin + 1 {
                for leader in 0..<count {
                    for held in Self.subsets(count)
                    where held.nonzeroBitCount == followers && held & (1 << leader) == 0 {
                        #expect(consulted & ~(1 << leader) & held != 0)
                    }
                }
            }
        }
    }

    @Test func noTwoVotersAskForTheSameTerm() throws {
        let voters = Self.ids(5)
        let membership = try Membership(voters: voters, failoverFollowers: 2)
        for last in 0..<UInt64(50) {
            let terms = voters.map { membership.term(after: last, of: $0) }

            #expect(Set(terms) == Set((last + 1)...(last + 5)))
        }
        for voter in voters {
            let terms = Set((0..<UInt64(100)).map { membership.term(after: $0, of: voter) % 5 })

            #expect(terms.count == 1)
        }
    }

    @Test func aMembershipThatCannotWorkIsRefused() {
        let voters = Self.ids(3)
        #expect(throws: EngineError.self) { try Membership(voters: [], failoverFollowers: 0) }
        #expect(throws: EngineError.self) { try Membership(voters: voters, failoverFollowers: 0) }
        #expect(throws: EngineError.self) { try Membership(voters: voters, failoverFollowers: 3) }
        #expect(throws: EngineError.self) {
            try Membership(voters: voters + voters, failoverFollowers: 1)
        }
    }

    @Test func aLoneVoterAsksNobody() throws {
        let membership = try Membership(voters: Self.ids(1), failoverFollowers: 0)

        #expect(membership.consultedMin == 0)
        #expect(membership.followersMax == 0)
    }

    @Test func reopeningsStayInTheirTerm() {
        let epoch = Epoch(term: 7, starter: 1)
        let reopened = epoch.reopened(starter: 2).reopened(starter: 3)

        #expect(epoch.isFirstOfTerm && !reopened.isFirstOfTerm)
        #expect(reopened.term == 7 && reopened.number > epoch.number)
        #expect(Epoch(term: 8, starter: 0).number > reopened.number)
    }
}
