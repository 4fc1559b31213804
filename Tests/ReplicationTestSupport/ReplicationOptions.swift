import Replication
import StorageEngine
import StorageEngineTestSupport

/// What a seed draws before it begins.
struct ReplicationOptions {
    enum Topology: CaseIterable { case star, chain, ring }

    var memberCount: Int
    var observerCount: Int
    var failoverFollowers: Int
    var topology: Topology
    /// Whether a member of a chain or a ring prefers nobody but the one before it.
    var isNarrow = false
    var settings = Settings()
    /// Of 100 messages, how many are lost, and how many come twice.
    var loss: Int
    var replay: Int
    var meanDelay: Int
    /// Whether messages of one link keep their order.
    var isOrdered: Bool
    var clientCount: Int
    /// Mean time between an answer and the client's next question.
    var thinkTime: Int
    /// Mean time between two faults.
    var faultTime: Int
    /// How many records a log keeps when it is trimmed; `nil`: it never is.
    var keptRecords: Int?
    /// Whether sequences have gaps.
    var hasGaps: Bool
    /// Whether segments are written, so that logs cannot always be cut back.
    var flushes: Bool
    /// Of 100 crashes, how many are power cuts.
    var powerCuts: Int

    init(using generator: inout SeededGenerator) {
        memberCount = Int.random(in: 2...5, using: &generator)
        observerCount = memberCount > 2 ? Int.random(in: 0...1, using: &generator) : 0
        let voters = memberCount - observerCount
        failoverFollowers =
            Bool.random(using: &generator)
            ? 1 : Int.random(in: 1...(voters - 1), using: &generator)
        topology = Topology.allCases.randomElement(using: &generator) ?? .star
        let isLossy = Int.random(in: 0..<3, using: &generator) > 0
        loss = isLossy ? Int.random(in: 0...30, using: &generator) : 0
        replay = Bool.random(using: &generator) ? Int.random(in: 0...50, using: &generator) : 0
        meanDelay = Int.random(in: 30...100, using: &generator)
        isOrdered = Int.random(in: 0..<10, using: &generator) < 7
        clientCount = Int.random(in: 3...6, using: &generator)
        thinkTime = Int.random(in: 5...120, using: &generator)
        faultTime = Int.random(in: 1_500...7_000, using: &generator)
        keptRecords =
            Bool.random(using: &generator)
            ? Int.random(in: 5...60, using: &generator) : nil
        hasGaps = Bool.random(using: &generator)
        flushes = Bool.random(using: &generator)
        powerCuts = [20, 50, 80].randomElement(using: &generator) ?? 50
        settings.relays = topology != .star
        settings.windowSize = UInt64.random(in: 2_000...40_000, using: &generator)
        settings.packSizeMax = UInt64.random(in: 500...8_000, using: &generator)
        settings.rejoinLag = UInt64.random(in: 0...20, using: &generator)
        // Drawn from a copy: what else a seed draws does not depend on it.
        var copy = generator
        let isPaced = Int.random(in: 0..<3, using: &copy) == 0
        settings.catchUpRate = isPaced ? UInt64.random(in: 20_000...200_000, using: &copy) : nil
        isNarrow = Int.random(in: 0..<3, using: &copy) == 0
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: settings.shortfall = .wait
        case 1:
            let floor = Int.random(in: 0..<voters, using: &generator)
            settings.shortfall = .degrade(floor: floor, after: 1_000)
        default: settings.shortfall = .fail(after: 2_000)
        }
    }

    var voterCount: Int { memberCount - observerCount }

    /// Whether two promotions that were both promised have a voter in common.
    var promotionsMeet: Bool { 2 * (voterCount - failoverFollowers) > voterCount }
}
