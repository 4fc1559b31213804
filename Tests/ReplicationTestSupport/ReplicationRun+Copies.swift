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

    /// Parts wait in memory for the disk, which takes them in order.
    func store(_ part: CopyPart, _ offer: CopyOffer, _ member: SimulatedMember) {
        member.heldSize += part.size
        if member.heldSize > options.settings.windowSize + part.size {
            oracle.violate("#\(member.slot) holds \(member.heldSize) bytes of a copy in memory")
        }
        let isSlow = !isCalm && (member.isDiskSlow || random(8) == 0)
        if isSlow { counts[.heldParts] += 1 }
        let delay = isSlow ? 300 + random(1_000) : 1 + random(10)
        member.partsStoredAt = max(now + 1, member.partsStoredAt) + delay
        let happening = Happening.stored(member.slot, life: member.life, part, offer)
        queue.add(happening, at: member.partsStoredAt)
    }

    /// Whether changes do not go together with the store, whatever is done.
    func failsForGood(_ offer: CopyOffer) -> Bool {
        offer.kind == .delta && !isCalm && random(8) == 0
    }

    /// The host opens its store again, and asks for all of it.
    func giveUpDelta(_ member: SimulatedMember) {
        counts[.failedDeltas] += 1
        member.needsWhole = true
        member.store.partialCopy = nil
        kill(member, power: false)
    }

    func adopt(_ member: SimulatedMember, _ offer: CopyOffer) {
        counts[.copies] += 1
        if offer.kind == .delta {
            counts[.deltas] += 1
            if member.needsWhole { oracle.violate("#\(member.slot) takes changes again") }
            if member.store.tail(tree) != deltaStarts[offer.id] {
                oracle.violate(
                    "#\(member.slot) takes changes that begin where its log does not end"
                )
            }
        }
        member.store.adopt(offer.log, copyRecords[offer.id] ?? [])
        member.store.partialCopy = nil
        member.needsWhole = false
        oracle.checkCut(view)
    }
}
