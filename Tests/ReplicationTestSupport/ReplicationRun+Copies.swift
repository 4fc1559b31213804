import Replication
import StorageEngine
import StorageEngineTestSupport

/// Copies of the state, and of what has changed since a place.
extension ReplicationRun {
    /// What a follower is offered whose log ends at a place.
    func openCopy(
        _ member: SimulatedMember,
        _ since: Tail,
        _ resuming: UInt64?,
        isWhole: Bool
    ) -> CopyOffer {
        if let resuming, let offer = member.copies[resuming], !since.ranksAbove(offer.log.tail),
            offer.kind == .base || !isWhole && deltaStarts[resuming] == since
        {
            counts[.resumedCopies] += 1
            return offer
        }
        nextCopy += 1
        let count = member.store.records.count
        member.store.reach(wal: count, disk: count)
        let offer = CopyOffer(
            id: nextCopy,
            kind: random(2) == 0 || isWhole || since.sequence == 0 ? .base : .delta,
            log: member.store.outline(tree),
            partCount: 1 + random(8)
        )
        if offer.kind == .delta { deltaStarts[nextCopy] = since }
        member.copies[nextCopy] = offer
        copyRecords[nextCopy] = member.store.records
        return offer
    }

    func adopt(_ member: SimulatedMember, _ offer: CopyOffer) {
        counts[.copies] += 1
        if offer.kind == .delta {
            counts[.deltas] += 1
            if member.store.tail(tree) != deltaStarts[offer.id] {
                oracle.violate(
                    "#\(member.slot) takes changes that begin where its log does not end"
                )
            }
        }
        member.store.adopt(offer.log, copyRecords[offer.id] ?? [])
        member.store.partialCopy = nil
        oracle.checkCut(view)
    }
}
