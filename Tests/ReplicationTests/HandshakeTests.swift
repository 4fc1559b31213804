@testable import Replication
import StorageEngine
import StorageEngineTestSupport
import Testing

@Suite struct HandshakeTests {
    private static let leader = UniqueID(high: 1, low: 0)

    private static func leadership(_ log: PlainLog, foundation: Int) -> Leadership {
        Leadership(
            epoch: log.outline.tail.epoch,
            leader: leader,
            foundation: log.prefix(foundation).outline.tail
        )
    }

    /// A leader's log, and one that parted from it somewhere and went on in its own epochs.
    private static func pair(_ generator: inout SeededGenerator) -> (PlainLog, PlainLog) {
        let common = PlainLog.random(&generator, epochs: 4)
        let kept = Int.random(in: 0...common.records.count, using: &generator)
        var other = common.prefix(kept)
        // The other one's epochs are lower than the leader's last.
        if Bool.random(using: &generator) {
            other.begin(Epoch(number: 5, starter: generator.next()))
            for _ in 0..<Int.random(in: 0...4, using: &generator) { other.append(generator.next()) }
        }
        let cut = Int.random(in: 0...common.records.count, using: &generator)
        var leader = common.prefix(cut)
        leader.begin(Epoch(number: 9, starter: generator.next()))
        for _ in 0..<Int.random(in: 0...3, using: &generator) { leader.append(generator.next()) }
        return (leader, other)
    }

    @Test(arguments: UInt64(0)..<500)
    func whatIsKeptIsTheLongestCommonBeginning(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let (leader, follower) = Self.pair(&generator)
        let common = zip(leader.records, follower.records).prefix { $0 == $1 }.count
        let epoch = leader.outline.tail.epoch
        let begun = leader.records.count { $0.epoch != epoch }
        let leadership = Leadership(
            epoch: epoch,
            leader: Self.leader,
            foundation: leader.prefix(begun).outline.tail
        )

        let course = Handshake.course(
            of: follower.outline,
            behind: leader.outline,
            under: leadership,
            isLeader: true
        )

        switch course {
        case .resume:
            #expect(common == follower.records.count, "seed \(seed)")
        case .cut(let end):
            let last = common == 0 ? 0 : follower.records[common - 1].sequence
            #expect(end.sequence == last, "seed \(seed)")
            #expect(end.epoch.number <= follower.outline.tail.epoch.number, "seed \(seed)")
        case .behind, .ahead, .foreign:
            Issue.record("seed \(seed): \(course)")
        }
    }

    @Test func aFollowerWithoutALogResumesFromNothing() {
        var generator = SeededGenerator(seed: 1)
        let (leader, _) = Self.pair(&generator)
        let leadership = Self.leadership(leader, foundation: 0)

        #expect(
            Handshake.course(
                of: .empty,
                behind: leader.outline,
                under: leadership,
                isLeader: true
            ) == .resume
        )
    }

    /// KIP-101: the same sequence, but of another epoch.
    @Test func equalLengthIsNotEqualContents() {
        let old = Epoch(number: 1, starter: 1)
        let new = Epoch(number: 2, starter: 2)
        var common = PlainLog()
        common.begin(old)
        for name in [3, 6, 9] as [UInt64] { common.append(name) }
        var follower = common
        follower.append(12)
        var leader = common
        leader.begin(new)
        leader.append(15)
        let leadership = Leadership(
            epoch: new,
            leader: Self.leader,
            foundation: common.outline.tail
        )

        #expect(follower.outline.tail.sequence == leader.outline.tail.sequence)
        #expect(
            Handshake.course(
                of: follower.outline,
                behind: leader.outline,
                under: leadership,
                isLeader: true
            ) == .cut(to: common.outline.tail)
        )
    }

    /// A leader that has made no record yet knows where its first one will be.
    @Test func aLeaderWithoutARecordOfItsOwnCutsAtItsFoundation() {
        var log = PlainLog()
        log.begin(Epoch(number: 1, starter: 1))
        for name in [3, 6, 9] as [UInt64] { log.append(name) }
        let leader = log.prefix(2)
        let leadership = Leadership(
            epoch: Epoch(number: 2, starter: 2),
            leader: Self.leader,
            foundation: leader.outline.tail
        )

        #expect(
            Handshake.course(
                of: log.outline,
                behind: leader.outline,
                under: leadership,
                isLeader: true
            ) == .cut(to: leader.outline.tail)
        )
    }

    /// A relay that has less than the leader's foundation cannot know what the leader has.
    @Test func aRelayShortOfTheFoundationCutsNobody() {
        var log = PlainLog()
        log.begin(Epoch(number: 1, starter: 1))
        for name in [3, 6, 9] as [UInt64] { log.append(name) }
        let leadership = Leadership(
            epoch: Epoch(number: 2, starter: 2),
            leader: Self.leader,
            foundation: log.outline.tail
        )

        for count in 0..<3 {
            #expect(
                Handshake.course(
                    of: log.outline,
                    behind: log.prefix(count).outline,
                    under: leadership,
                    isLeader: false
                ) == .behind
            )
        }
    }

    /// Records of the leader's own epoch that it does not have are damage: nobody may cut them.
    @Test func aFollowerAheadInTheSameEpochIsNotCut() {
        var log = PlainLog()
        log.begin(Epoch(number: 1, starter: 1))
        for name in [3, 6, 9] as [UInt64] { log.append(name) }
        let leadership = Leadership(
            epoch: Epoch(number: 1, starter: 1),
            leader: Self.leader,
            foundation: .zero
        )

        #expect(
            Handshake.course(
                of: log.outline,
                behind: log.prefix(2).outline,
                under: leadership,
                isLeader: true
            ) == .ahead
        )
    }

    @Test func otherRecordsOfOneEpochAreDamage() {
        var log = PlainLog()
        log.begin(Epoch(number: 1, starter: 1))
        log.append(3)
        var other = log
        log.append(6)
        other.append(9)
        let leadership = Leadership(
            epoch: Epoch(number: 1, starter: 1),
            leader: Self.leader,
            foundation: .zero
        )

        #expect(log.outline.tail.sequence == other.outline.tail.sequence)
        #expect(
            Handshake.course(
                of: other.outline,
                behind: log.outline,
                under: leadership,
                isLeader: true
            ) == .foreign
        )
    }
}
