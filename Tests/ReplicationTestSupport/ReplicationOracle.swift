import Replication
import StorageEngine

/// What was promised, and whether it holds.
struct ReplicationOracle {
    struct Operation {
        enum Kind { case read, write }

        let kind: Kind
        let key: Int
        let leader: Int
        let start: UInt64
        var record = -1
        var write: Write?
        var end: UInt64?

        var call: Linearizability.Call {
            Linearizability.Call(
                written: kind == .write ? record : nil,
                read: record,
                start: start,
                end: end
            )
        }
    }

    /// A record that must be in every later leader's log, as long as enough voters hold it.
    private struct Promise {
        let record: Int
        let leader: UniqueID
        let term: UInt64
    }

    /// The beginning of a term.
    private struct Established {
        let leadership: Leadership
        let records: [Int]
        let hasAcceptedLoss: Bool
    }

    private let options: ReplicationOptions
    private let voters: [UniqueID]
    var operations: [Operation] = []
    private var promises: [Promise] = []
    private var established: [Established] = []
    /// The last record that was acknowledged on a leader's own disk since it leads.
    private var localDisk: (leader: UniqueID, record: Int)?
    private var lastHorizon = -1
    private(set) var violation: String?
    /// Whether all that registers were told held: what is linearizable must be.
    private(set) var isJudged = true

    init(options: ReplicationOptions, voters: [UniqueID]) {
        self.options = options
        self.voters = voters
    }

    mutating func violate(_ text: String) {
        if violation == nil { violation = text }
    }

    // MARK: Operations

    mutating func invoke(
        _ kind: Operation.Kind,
        _ key: Int,
        _ leader: SimulatedMember,
        at time: UInt64
    ) -> Int {
        operations.append(Operation(kind: kind, key: key, leader: leader.slot, start: time))
        return operations.count - 1
    }

    mutating func complete(
        _ index: Int,
        _ outcome: Outcome,
        _ leader: SimulatedMember,
        _ run: ReplicationRun.View,
        _ counts: inout ReplicationCounts
    ) {
        let operation = operations[index]
        if operation.end != nil { violate("operation \(index) completes twice") }
        guard case .acked(let receipt) = outcome else {
            counts[.indeterminate] += 1
            return
        }
        operations[index].end = run.now
        counts[.acked] += 1
        guard let write = operation.write else { return }
        checkReceipt(receipt, write, operation, leader, run)
        let asked = followers(write.requirement)
        let reached = receipt.isDegraded ? min(asked, floor) : asked
        if receipt.isDegraded { counts[.degradedAcks] += 1 }
        if reached >= options.failoverFollowers {
            counts[.protected] += 1
            let term = receipt.epoch.term
            promise(Promise(record: operation.record, leader: leader.id, term: term), run, &counts)
        } else if operation.key < ReplicationRun.registerCount {
            isJudged = false
        }
        if write.local == .disk {
            counts[.localAcks] += 1
            let isLater = localDisk.map { run.tree[$0.record].depth } ?? -1
            if localDisk?.leader != leader.id || run.tree[operation.record].depth > isLater {
                localDisk = (leader.id, operation.record)
            }
        }
    }

    private var floor: Int {
        if case .degrade(let floor, _) = options.settings.shortfall { floor } else { .max }
    }

    private func followers(_ requirement: Requirement) -> Int {
        switch requirement {
        case .none: 0
        case .followers(let count, _): count
        case .allFollowers: voters.count - 1
        }
    }

    /// S1, at the time of the ack: everything that the receipt says is so.
    private mutating func checkReceipt(
        _ receipt: ReplicaReceipt,
        _ write: Write,
        _ operation: Operation,
        _ leader: SimulatedMember,
        _ run: ReplicationRun.View
    ) {
        let record = operation.record
        if !leader.store.contains(record, run.tree) {
            violate("an acknowledged write is not in the log of #\(leader.slot)")
        }
        let depth = run.tree[record].depth
        let counts = leader.store.counts
        let isLocal =
            switch write.local {
            case .memory: true
            case .wal: depth < counts.wal
            case .disk: depth < counts.disk
            }
        if !isLocal { violate("S1: #\(leader.slot) acknowledges at \(write.local), too early") }
        for point in ReplicaPoint.allCases {
            let held = voters.count { voter in
                voter != leader.id
                    && run.hasReached(voter, record, point)
            }
            let said = receipt.followers[Int(point.rawValue)]
            if said > held {
                violate("S1: a receipt says \(said) followers at \(point), there are \(held)")
            }
            let asked = followers(write.requirement)
            let least = receipt.isDegraded ? min(asked, floor) : asked
            if self.point(write.requirement) == point, held < least {
                violate("S1: acknowledged by \(least) followers at \(point), there are \(held)")
            }
        }
        if receipt.isDegraded, floor == .max { violate("a store that never degrades did") }
    }

    private func point(_ requirement: Requirement) -> ReplicaPoint? {
        switch requirement {
        case .none: nil
        case .followers(_, let point), .allFollowers(let point): point
        }
    }

    // MARK: Promises

    private mutating func promise(
        _ promise: Promise,
        _ run: ReplicationRun.View,
        _ counts: inout ReplicationCounts
    ) {
        guard isHeld(promise, run) else {
            counts[.voided] += 1
            isJudged = false
            return
        }
        for later in established
        where later.leadership.epoch.term > promise.term && !later.hasAcceptedLoss {
            if !later.records.hasRecord(promise.record, run.tree) {
                violate("S1: acknowledged after term \(later.leadership.epoch.term) began without")
            }
        }
        promises.append(promise)
    }

    /// Whether enough voters hold a record for the promise to bind.
    private func isHeld(_ promise: Promise, _ run: ReplicationRun.View) -> Bool {
        voters.count { voter in
            voter != promise.leader && run.holds(voter, promise.record)
        } >= options.failoverFollowers
    }

    /// Logs lost their ends, or whole members were lost: promises end where too few are left.
    mutating func lost(_ run: ReplicationRun.View, _ counts: inout ReplicationCounts) {
        let before = promises
        promises = before.filter { isHeld($0, run) }
        guard promises.count < before.count else { return }
        counts[.voided] += before.count - promises.count
        isJudged = false
    }

    /// S3: what the leader calls replicated stays.
    mutating func horizon(
        of leader: SimulatedMember,
        _ run: ReplicationRun.View,
        _ counts: inout ReplicationCounts
    ) {
        guard let leadership = leader.core.leadership,
            let sequence = leader.core.replicated(by: options.failoverFollowers, at: .disk)
        else { return }
        let count = leader.store.count(through: sequence, run.tree)
        guard count > 0, leader.store.records[count - 1] != lastHorizon else { return }
        lastHorizon = leader.store.records[count - 1]
        counts[.horizons] += 1
        let term = leadership.epoch.term
        promise(Promise(record: lastHorizon, leader: leader.id, term: term), run, &counts)
    }

    // MARK: Leaders

    /// S1 and S4: a leader has all that was promised, and nobody else leads its epoch.
    mutating func established(
        _ leadership: Leadership,
        _ leader: SimulatedMember,
        _ run: ReplicationRun.View
    ) {
        let epoch = leadership.epoch
        for other in established where other.leadership.epoch.number == epoch.number {
            let mayBe =
                !options.promotionsMeet || other.hasAcceptedLoss || leader.hasAcceptedLoss
            if other.leadership.epoch.starter == epoch.starter || !mayBe {
                violate("S4: #\(leader.slot) leads \(epoch), which was led before")
            }
        }
        if leader.store.mark.promised != epoch {
            violate("#\(leader.slot) leads an epoch that it does not remember")
        }
        if leader.hasAcceptedLoss {
            isJudged = false
            promises.removeAll { !leader.store.contains($0.record, run.tree) }
        }
        // A leader that nobody asked leads on in a term that may be over.
        if epoch.isFirstOfTerm || established.last?.leadership.leader == leader.id {
            for promise in promises where promise.term < epoch.term {
                if !leader.store.contains(promise.record, run.tree) {
                    violate(
                        "S1: #\(leader.slot) leads \(epoch) without record \(promise.record) of "
                            + "term \(promise.term)"
                    )
                }
            }
        }
        if let localDisk, established.last?.leadership.leader == leader.id,
            highest?.leadership.leader == leader.id, localDisk.leader == leader.id,
            !leader.store.contains(localDisk.record, run.tree)
        {
            violate("#\(leader.slot) lost what was on its disk, and nobody led in between")
        }
        // A leader that was replaced may lead on for a while: what it made then is cut off.
        let hasLed = [established.last, highest].allSatisfy { $0?.leadership.leader == leader.id }
        if !hasLed { localDisk = nil }
        leader.accepted = epoch
        leader.following = .none
        established.append(
            Established(
                leadership: leadership,
                records: leader.store.records,
                hasAcceptedLoss: leader.hasAcceptedLoss
            )
        )
    }

    /// S4: nobody listens to a lower epoch than it ever did, or to another holder of the same.
    mutating func accepted(_ epoch: Epoch, _ member: SimulatedMember) {
        let before = member.accepted
        if epoch.number < before.number || (epoch.number == before.number && epoch != before) {
            violate("S4: #\(member.slot) listens to \(epoch) after \(before)")
        }
        member.accepted = epoch
        member.following = epoch
    }

    mutating func checkFollowing(_ member: SimulatedMember) {
        if member.following != member.accepted {
            violate("S4: #\(member.slot) takes records of a leader that it promised not to")
        }
    }

    /// A log was cut back, or replaced: nothing that was promised may have been in what is gone.
    mutating func checkCut(_ run: ReplicationRun.View) {
        for promise in promises where !isHeld(promise, run) {
            violate("S1: record \(promise.record) of term \(promise.term) was cut back")
        }
    }
}

// MARK: Messages and logs

extension ReplicationOracle {
    /// S5 and S7: what a member says of its log is so.
    mutating func check(_ message: Message, from member: SimulatedMember, _ tree: RecordTree) {
        switch message {
        case .hello(let hello):
            if hello.log != member.store.outline(tree) {
                violate("S7: #\(member.slot) says that its log ends elsewhere than it does")
            }
        case .report(let report):
            let own = report.entries.first { $0.member == member.id }
            guard let own else { return }
            let real = member.store.watermarks(tree)
            for point in ReplicaPoint.allCases where own.watermarks[point] > real[point] {
                violate("S5: #\(member.slot) reports \(point) too early")
            }
        case .answer(let answer):
            guard let epoch = answer.granted else { return }
            if member.store.mark.promised != epoch {
                violate("#\(member.slot) promises \(epoch), and does not remember it")
            }
            guard epoch != member.accepted else { return }
            if epoch.number < member.accepted.number {
                violate("S4: #\(member.slot) promises \(epoch) after \(member.accepted)")
            }
            member.accepted = epoch
            member.following = .none
        default:
            break
        }
    }

    /// S2: whoever follows the last leader has the same records as it has.
    mutating func checkLines(_ members: [SimulatedMember], _ tree: RecordTree) {
        for leader in members where leader.isUp && leader.leadership != nil {
            let records = leader.store.records
            for member in members
            where member.isUp && member.leadership == nil && member.cutInFlight == nil
                && member.following == leader.leadership?.epoch && member.copyInFlight == nil
            {
                guard let last = member.store.records.last, records.count > tree[last].depth
                else { continue }
                if records[tree[last].depth] != last {
                    violate("S2: #\(member.slot) and its leader #\(leader.slot) differ")
                }
            }
        }
    }

    /// At the end: everything that was promised is in the one history that is left.
    mutating func finish(_ run: ReplicationRun.View) {
        for promise in promises {
            for member in run.members
            where !member.isStranger && !member.store.contains(promise.record, run.tree) {
                violate("S1: record \(promise.record) of term \(promise.term) is lost in the end")
            }
        }
    }
}

extension [Int] {
    /// Whether a log has a record.
    func hasRecord(_ record: Int, _ tree: RecordTree) -> Bool {
        let depth = tree[record].depth
        return depth < count && self[depth] == record
    }
}

extension ReplicationOracle {
    /// Who led the highest epoch: another one may have led on in a term that was over.
    private var highest: Established? {
        established.max { $0.leadership.epoch.number < $1.leadership.epoch.number }
    }
}
