@testable import Replication
import StorageEngine
import Testing

@Suite struct FeederChoiceTests {
    private static func ground(_ preferenceTime: Tick) throws -> Ground {
        var settings = Settings()
        settings.preferenceTime = preferenceTime
        let voters = (1...3).map { CoreHarness.id($0) }
        return Ground(
            id: CoreHarness.id(3),
            membership: try Membership(voters: voters, failoverFollowers: 1),
            settings: settings,
            mark: Mark(),
            seed: 1
        )
    }

    /// A chain that is broken must not stay so.
    @Test func whenNobodyPreferredFeedsForLongAnyVoterWillDo() throws {
        var ground = try Self.ground(5_000)
        let (first, second) = (CoreHarness.id(1), CoreHarness.id(2))
        var choice = FeederChoice(preferences: [second])
        func chosen(for time: Tick) -> Set<UniqueID?> {
            let end = ground.now + time
            var chosen: Set<UniqueID?> = []
            while ground.now < end {
                chosen.insert(choice.next(ground))
                ground.now += 100
            }
            return chosen
        }
        for _ in 1...2 {
            #expect(chosen(for: 5_100) == [second])
            #expect(chosen(for: 1_000) == [first, second], "and never itself")
            choice.forgetHunger()
        }
    }

    @Test func whoIsSaidToLeadIsGreetedOnce() throws {
        let ground = try Self.ground(5_000)
        var choice = FeederChoice(preferences: [CoreHarness.id(2)])
        choice.hint = CoreHarness.id(1)
        #expect(choice.next(ground) == CoreHarness.id(1))
        #expect(choice.next(ground) == CoreHarness.id(2))
        choice.hint = CoreHarness.id(3)
        #expect(choice.next(ground) == CoreHarness.id(2), "it does not follow itself")
    }

    @Test func whoPrefersNobodyWaitsForTheVoters() throws {
        var ground = try Self.ground(5_000)
        var choice = FeederChoice(preferences: [])
        #expect(choice.next(ground) == nil)
        ground.now += 5_001
        #expect(choice.next(ground) == CoreHarness.id(1))
    }
}
