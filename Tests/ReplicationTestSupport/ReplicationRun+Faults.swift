import Replication
import StorageEngine
import StorageEngineTestSupport

/// What goes wrong, and who looks after it.
extension ReplicationRun {
    // MARK: Processes

    func start(_ member: SimulatedMember, isClean: Bool) {
        member.life += 1
        member.isUp = true
        member.isReopening = member.store.mark.leads && !isClean
        member.core = makeCore(member.slot, member.id, member.store.mark)
        member.core.restore(
            member.store.outline(tree),
            member.store.watermarks(tree),
            partialCopy: member.store.partialCopy
        )
        if member.needsWhole { member.core.requireWholeCopy() }
        member.generation = member.core.generation
        queue.add(.tick(member.slot, life: member.life), at: now + 1 + random(Self.tickInterval))
        note(4, member.slot, member.store.mark.incarnation)
        give(.opened(isClean: isClean), to: member)
    }

    private func stop(_ member: SimulatedMember) {
        member.life += 1
        member.isUp = false
        member.isPersisting = false
        member.waiting = []
        member.leadership = nil
        member.pausedUntil = 0
        member.markInFlight = nil
        member.cutInFlight = nil
        member.copyInFlight = nil
        member.heldSize = 0
        member.partsStoredAt = 0
    }

    func kill(_ member: SimulatedMember, power: Bool) {
        counts[power ? .powerCuts : .kills] += 1
        // What was being made durable may be, or not.
        if let mark = member.markInFlight, random(2) == 0 { member.store.mark = mark }
        if let end = member.cutInFlight, random(2) == 0 { _ = cut(member, to: end) }
        if let offer = member.copyInFlight, random(2) == 0 { adopt(member, offer) }
        if random(2) == 0 { member.copies = [:] }
        stop(member)
        member.store.crash(power: power, tree, &generator)
        note(5, member.slot, UInt64(member.store.records.count))
        oracle.lost(view, &counts)
        let delay = 100 + random(random(3) == 0 ? 12_000 : 3_000)
        queue.add(.restart(member.slot, life: member.life, isClean: false), at: now + delay)
    }

    private func restartCleanly(_ member: SimulatedMember) {
        let isBusy = member.isPersisting || !member.waiting.isEmpty
        guard !isBusy, member.cutInFlight == nil, member.copyInFlight == nil else {
            return kill(member, power: false)
        }
        counts[.cleanRestarts] += 1
        let count = member.store.records.count
        member.store.reach(wal: count, disk: count, applied: count)
        stop(member)
        let delay = 50 + random(2_000)
        queue.add(.restart(member.slot, life: member.life, isClean: true), at: now + delay)
    }

    /// Another directory takes a member's place: empty, or restored from a backup.
    private func replace(_ member: SimulatedMember) {
        // With the only voter that has the history yet there would be nobody left to lead.
        let others = members.filter {
            $0 !== member && membership.isVoter($0.id) && !$0.isStranger
        }
        guard others.contains(where: { $0.store.mark.history == history }) else {
            return kill(member, power: false)
        }
        hasReplaced = true
        stop(member)
        gone[member.id] = member.store
        member.copies = [:]
        // Who has no history yet takes any.
        let isKnown = members.allSatisfy { $0.store.mark.history == history }
        guard random(3) > 0 || !isKnown else { return replaceByStranger(member) }
        slots[member.id] = nil
        member.id = UniqueID(high: UInt64(member.slot) + 1, low: 2)
        slots[member.id] = member.slot
        member.needsWhole = false
        if random(2) == 0 {
            counts[.reformats] += 1
            member.store = MemberStore()
        } else {
            counts[.restores] += 1
            let kept = Int(random(UInt64(member.store.counts.disk) + 1))
            member.store.restoreBackup(keeping: kept, tree)
        }
        member.accepted = .none
        member.following = .none
        oracle.lost(view, &counts)
        queue.add(.restart(member.slot, life: member.life, isClean: true), at: now + random(3_000))
    }

    /// Somebody emptied a directory, kept its name, and began anew with it: nobody may follow.
    private func replaceByStranger(_ member: SimulatedMember) {
        counts[.strangers] += 1
        member.isStranger = true
        member.store = MemberStore()
        member.needsWhole = false
        member.accepted = .none
        oracle.lost(view, &counts)
        start(member, isClean: true)
        give(.bootstrap(history: UniqueID(high: 8, low: 8)), to: member)
    }

    // MARK: Faults

    func fault() {
        guard !isCalm else { return }
        queue.add(.fault, at: now + 1 + random(2 * UInt64(options.faultTime)))
        // Without a leader for long, there is nothing left to break.
        if let leaderlessSince, now - leaderlessSince > 20_000 { return }
        counts[.faults] += 1
        let member = members[Int(random(UInt64(members.count)))]
        guard !member.isStranger else { return partition(until: now + 1_000) }
        let end = now + 200 + random(6_000)
        switch random(20) {
        case 0..<5 where member.isUp:
            kill(member, power: random(100) < UInt64(options.powerCuts))
        case 5..<7 where member.isUp:
            restartCleanly(member)
        case 7..<9 where member.isUp:
            counts[.pauses] += 1
            member.pausedUntil = end
        case 9..<13:
            partition(until: random(3) == 0 ? end + random(15_000) : end)
        case 13:
            counts[.clogs] += 1
            let other = Int(random(UInt64(members.count)))
            network.clog(from: member.slot, to: other, until: now + random(5_000))
        case 14:
            counts[.slowDisks] += 1
            member.isDiskSlow = true
            queue.add(.endSlowDisk(member.slot), at: end)
        case 15:
            counts[.clockJumps] += 1
            let ahead = random(4) == 0 ? random(20_000) : random(500)
            member.setClock(ahead: ahead, rate: 900 + random(200), at: now)
        case 16 where member.isUp:
            // Somebody replaces a leader that may be well.
            give(.promote(acceptLoss: false), to: member)
        case 17 where mayReplace && random(3) == 0:
            replace(member)
        case 18:
            // The leader more often than others.
            guard let leader = members.first(where: { $0.leadership != nil }) else { return }
            kill(leader, power: random(100) < UInt64(options.powerCuts))
        default:
            partition(until: end)
        }
    }

    /// A voter that is gone is missing among the consulted from then on: either enough are left, or
    /// there is not much left to do.
    private var mayReplace: Bool {
        let isLate = counts[.operations] > operationsMin * 3 / 4
        return !hasReplaced && options.voterCount > 2 && (options.failoverFollowers > 1 || isLate)
    }

    private func partition(until end: UInt64) {
        let isSymmetric = random(2) == 0
        var side: Set<Int> = []
        if random(3) == 0 {
            counts[.isolations] += 1
            side = [Int(random(UInt64(members.count)))]
        } else {
            counts[.partitions] += 1
            for slot in members.indices where random(2) == 0 { side.insert(slot) }
        }
        queue.add(.heal(network.partition(side, isSymmetric: isSymmetric)), at: end)
    }

    // MARK: Whoever promotes

    /// An operator: sees that nobody leads, and promotes somebody. Accepts loss only when nothing
    /// else helped.
    func control() {
        queue.add(.control, at: now + 500)
        for member in members where member.leadership != nil {
            oracle.horizon(of: member, view, &counts)
        }
        oracle.checkLines(members, tree)
        guard !members.contains(where: { isSeenLeading($0) }) else {
            leaderlessSince = nil
            promotionAttempts = 0
            return
        }
        let since = leaderlessSince ?? now
        leaderlessSince = since
        let patience = UInt64(isCalm ? 4_000 : 2_000) + UInt64(promotionAttempts) * 12_000
        guard now - since >= patience else { return }
        let candidates = members.filter {
            $0.isUp && membership.isVoter($0.id) && !$0.isStranger
        }
        guard !candidates.isEmpty else { return }
        let member = candidates[Int(random(UInt64(candidates.count)))]
        promotionAttempts += 1
        give(.promote(acceptLoss: promotionAttempts > (hasReplaced ? 2 : 6)), to: member)
    }

    /// Whether somebody who asks from everywhere finds that a member leads: a leader that most
    /// others cannot reach is taken for gone, though it may serve clients that can.
    private func isSeenLeading(_ member: SimulatedMember) -> Bool {
        guard member.isUp, member.leadership != nil, member.pausedUntil <= now else { return false }
        let others = members.indices.filter { $0 != member.slot }
        let reached = others.count { other in
            network.isOpen(from: member.slot, to: other)
                && network.isOpen(from: other, to: member.slot)
        }
        return 2 * reached >= others.count
    }

    /// The faults end.
    func calm() throws {
        isCalm = true
        network.healAll()
        for member in members { member.pausedUntil = min(member.pausedUntil, now) }
    }
}
