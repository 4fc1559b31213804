import Replication
import StorageEngine
import StorageEngineTestSupport

/// The host: gives events to a core, and does what it says, in order.
extension ReplicationRun {
    func give(_ event: CoreEvent, to member: SimulatedMember) {
        let actions = member.core.handle(event, now: member.clock(now))
        note(1, member.slot, UInt64(actions.count))
        if let trace { trace(describe(event, actions, member)) }
        // Records are made only while the core leads.
        if member.core.leadership == nil { member.leadership = nil }
        member.waiting += actions
        run(member)
    }

    private func describe(_ event: CoreEvent, _ actions: [CoreAction], _ member: SimulatedMember)
        -> String
    {
        if case .tick = event, actions.isEmpty { return "" }
        return "\(now) #\(member.slot) \(event)" + actions.map { "\n        -> \($0)" }.joined()
    }

    /// Does what waits, up to a mark that has to become durable first.
    func run(_ member: SimulatedMember) {
        while !member.isPersisting, !member.waiting.isEmpty, member.isUp {
            perform(member.waiting.removeFirst(), member)
        }
    }

    private func perform(_ action: CoreAction, _ member: SimulatedMember) {
        switch action {
        case .persist(let mark):
            if let history = mark.history, history != self.history, !member.isStranger {
                oracle.violate("#\(member.slot) gave up its history for another")
            }
            member.isPersisting = true
            member.markInFlight = mark
            let happening = Happening.persisted(member.slot, life: member.life, mark)
            queue.add(happening, at: now + diskDelay(member, 1 + random(8)))
        case .send(let message, let id):
            send(message, from: member, to: id)
        case .lead(let leadership):
            lead(leadership, member)
        case .stopLeading:
            member.leadership = nil
        case .appendNoOp:
            if member.leadership != nil { append(key: -1, member) }
        case .complete(let ticket, let outcome):
            complete(Int(ticket), outcome, member)
        case .notice(let notice):
            count(notice, member)
        default:
            performLog(action, member)
        }
    }

    private func performLog(_ action: CoreAction, _ member: SimulatedMember) {
        let (slot, life) = (member.slot, member.life)
        switch action {
        case .apply(let pack, _):
            apply(pack, member)
        case .cut(let end, let generation):
            member.cutInFlight = end
            let happening = Happening.cut(slot, life: life, end, generation: generation)
            queue.add(happening, at: now + diskDelay(member, 5 + random(50)))
        case .fetch(let session, _, let after, let sizeMax):
            let isPaced = member.core.catchingUp.contains(session)
            if isPaced, options.settings.catchUpRate != nil { counts[.pacedReads] += 1 }
            answer(.fetched(session: session, read(member, after, sizeMax)), member)
        case .openCopy(let session, let since, let resuming, let isWhole):
            let offer = openCopy(member, since, resuming, isWhole: isWhole)
            answer(.copyOpened(session: session, offer), member)
        case .readPart(let session, let copy, let index):
            let part = CopyPart(copy: copy, index: index, size: 2_000, payload: index)
            answer(.partRead(session: session, part), member)
        case .storePart(let part, let offer):
            store(part, offer, member)
        case .adoptCopy(let offer, let generation):
            member.copyInFlight = offer
            let happening = Happening.adopt(slot, life: life, offer, generation: generation)
            // Behind the parts, which are stored in order.
            let start = max(now, member.partsStoredAt)
            queue.add(happening, at: start + diskDelay(member, 5 + random(100)))
        default:
            break
        }
    }

    private func answer(_ event: CoreEvent, _ member: SimulatedMember) {
        queue.add(.host(member.slot, life: member.life, event), at: now + 1 + random(3))
    }

    private func diskDelay(_ member: SimulatedMember, _ usual: UInt64) -> UInt64 {
        member.isDiskSlow && !isCalm ? usual + 1_000 : usual
    }

    // MARK: The log

    /// Makes a record behind the end of a leader's log.
    @discardableResult
    func append(key: Int, _ member: SimulatedMember) -> Int {
        guard let leadership = member.leadership else { preconditionFailure("nobody leads") }
        if member.store.table.last?.epoch != leadership.epoch {
            member.store.begin(leadership.epoch, tree)
        }
        let tail = member.store.tail(tree)
        let gap = options.hasGaps && random(4) == 0 ? random(3) : 0
        let record = tree.make(
            after: member.store.records.last ?? -1,
            tail,
            sequence: tail.sequence + 1 + gap,
            key: key,
            size: 100 + random(900)
        )
        member.store.append(record)
        give(.appended(member.store.tail(tree)), to: member)
        planPoints(member)
        return record
    }

    /// A follower's records: exactly those that come behind the end of its log.
    private func apply(_ pack: Pack, _ member: SimulatedMember) {
        oracle.checkFollowing(member)
        for epoch in pack.beginning { member.store.begin(epoch, tree) }
        var path: [Int] = []
        var next = pack.last > pack.previousSequence ? Int(pack.payload) : -1
        while next >= 0, tree[next].sequence > pack.previousSequence {
            path.append(next)
            next = tree[next].parent
        }
        if !path.isEmpty, next != member.store.records.last ?? -1 {
            oracle.violate("S6: #\(member.slot) applies records behind others than its last")
        }
        for record in path.reversed() { member.store.append(record) }
        if member.store.tail(tree) != pack.tail {
            oracle.violate("S2: #\(member.slot) has another log hash than its pack says")
        }
        planPoints(member)
    }

    /// The kernel, the disk and the readers get what is in memory, each in its time.
    private func planPoints(_ member: SimulatedMember) {
        let count = member.store.records.count
        let marks = member.store.sequence(count, tree)
        var wal = Watermarks()
        wal.wal = marks
        var applied = Watermarks()
        applied.applied = marks
        var disk = Watermarks()
        disk.wal = marks
        disk.disk = marks
        let points: [(Watermarks, MemberStore.Counts, UInt64)] = [
            (wal, MemberStore.Counts(wal: count, disk: 0, applied: 0), 1 + random(4)),
            (applied, MemberStore.Counts(wal: 0, disk: 0, applied: count), 1 + random(10)),
            (
                disk, MemberStore.Counts(wal: count, disk: count, applied: 0),
                diskDelay(member, 5 + random(random(4) == 0 ? 2_500 : 30))
            ),
        ]
        for (watermarks, counts, delay) in points {
            let happening = Happening.reached(
                member.slot,
                life: member.life,
                generation: member.generation,
                counts,
                watermarks
            )
            queue.add(happening, at: now + delay)
        }
    }

    func performStore(_ happening: Happening) {
        switch happening {
        case .reached(let slot, let life, let generation, let reached, let watermarks):
            withLive(slot, life, happening) { member in
                if generation == member.generation {
                    member.store.reach(
                        wal: reached.wal,
                        disk: reached.disk,
                        applied: reached.applied
                    )
                } else {
                    counts[.lateCompletions] += 1
                }
                give(.reached(watermarks, generation: generation), to: member)
            }
        case .cut(let slot, let life, let end, let generation):
            withLive(slot, life, happening) { member in
                member.cutInFlight = nil
                member.generation = generation
                give(.cut(cut(member, to: end), generation: generation), to: member)
            }
        case .stored(let slot, let life, let part, let offer):
            withLive(slot, life, happening) { member in
                member.store.partialCopy = PartialCopy(offer: offer, next: part.index + 1)
                member.heldSize -= part.size
                give(.partStored(part), to: member)
            }
        case .adopt(let slot, let life, let offer, let generation):
            withLive(slot, life, happening) { member in
                member.copyInFlight = nil
                if failsForGood(offer) { return giveUpDelta(member) }
                member.generation = generation
                adopt(member, offer)
                give(.copyAdopted(generation: generation), to: member)
            }
        default:
            break
        }
    }

    func cut(_ member: SimulatedMember, to end: Tail) -> CutResult {
        let count = member.store.records.count
        // Copies may hold what is cut.
        member.copies = [:]
        let result = member.store.cut(to: end, tree)
        switch result {
        case .done:
            counts[.cuts] += 1
            counts[.cutRecords] += count - member.store.records.count
            oracle.checkCut(view)
        case .impossible: counts[.impossibleCuts] += 1
        case .diverged: oracle.violate("#\(member.slot) has other records than it may have")
        }
        return result
    }

    /// Records behind an end of the log, of one epoch.
    private func read(_ member: SimulatedMember, _ after: Tail, _ sizeMax: UInt64) -> Fetched {
        let store = member.store
        var index = store.count(through: after.sequence, tree)
        let kept = store.table.filter { $0.epoch.number <= after.epoch.number }
        guard store.tail(index, kept, tree) == after else { return .diverged }
        guard index >= store.trimmed else { return .trimmed }
        let later = store.table.dropFirst(kept.count)
        let beginning = later.prefix { $0.lastSequenceBefore == after.sequence }.map(\.epoch)
        let end = later.dropFirst(beginning.count).first?.lastSequenceBefore ?? .max
        let start = beginning.reduce(after) { $0.beginning($1) }
        var size: UInt64 = 0
        let first = index
        while index < store.records.count, tree[store.records[index]].sequence <= end,
            size == 0 || size + tree[store.records[index]].size <= sizeMax
        {
            size += tree[store.records[index]].size
            index += 1
        }
        let last = index > first ? store.records[index - 1] : nil
        let tail = last.map { record in
            Tail(
                epoch: start.epoch,
                sequence: tree[record].sequence,
                logHash: tree[record].logHash
            )
        }
        let pack = Pack(
            from: after,
            to: tail ?? start,
            beginning: beginning,
            first: index > first ? tree[store.records[first]].sequence : after.sequence,
            size: size,
            payload: UInt64(last ?? 0)
        )
        return .pack(pack)
    }

    /// Segments are written, and logs trimmed, from time to time.
    func maintain(_ slot: Int) {
        let member = members[slot]
        queue.add(.maintain(slot), at: now + 1_000 + random(3_000))
        guard member.isUp, member.pausedUntil <= now else { return }
        if options.flushes, random(12) == 0 { member.store.flush() }
        if let kept = options.keptRecords, random(2) == 0 {
            counts[.trims] += 1
            member.store.trim(keeping: kept)
        }
    }

    // MARK: Leading

    private func lead(_ leadership: Leadership, _ member: SimulatedMember) {
        guard member.core.leadership == leadership else { return }
        guard !member.isStranger else { return }
        member.leadership = leadership
        counts[.leaderships] += 1
        if leadership.epoch.isFirstOfTerm {
            counts[.promotions] += 1
            if member.isReopening { counts[.uncleanReopenings] += 1 }
        } else if leadership.epoch.number > 1 {
            counts[.reopenings] += 1
        }
        member.isReopening = false
        note(3, member.slot, leadership.epoch.number)
        oracle.established(leadership, member, view)
        member.hasAcceptedLoss = false
    }

    private func count(_ notice: Notice, _ member: SimulatedMember) {
        switch notice {
        case .following(_, let leadership): oracle.accepted(leadership.epoch, member)
        case .refused(_, .behind): counts[.refusedBehind] += 1
        case .refused(_, .loop): counts[.refusedLoop] += 1
        case .refused(let peer, .ahead): oracle.violate("#\(member.slot) is ahead of \(peer)")
        case .refused(let peer, .diverged):
            oracle.violate("#\(member.slot) has other records than \(peer)")
        case .refused(let peer, .wrongRole): oracle.violate("\(peer) has another membership")
        case .refused(let peer, .malformed): oracle.violate("\(peer) and #\(member.slot) differ")
        case .refused(_, .wrongStore), .wrongHistory: counts[.wrongHistory] += 1
        case .aheadReport: oracle.violate("#\(member.slot) is told of records that it never made")
        case .refused, .lostFeeder, .cutting, .copying: break
        case .gap: counts[.gaps] += 1
        case .degraded: counts[.degradations] += 1
        case .restored: counts[.restorations] += 1
        case .suspect: counts[.suspects] += 1
        case .noLongerSuspect: counts[.suspectsCleared] += 1
        case .steppedDown: counts[.stepDowns] += 1
        case .consulting, .begunWithout: break
        case .historyFound: counts[.wrongHistory] += 1
        case .adopting: counts[.adoptions] += 1
        case .promotionFailed: counts[.failedPromotions] += 1
        case .lossAccepted:
            counts[.lossAccepted] += 1
            member.hasAcceptedLoss = true
        }
    }
}
