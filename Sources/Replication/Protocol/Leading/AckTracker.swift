import StorageEngine

/// Which of the leader's writes are done.
///
/// A write is done when its local point and its followers are reached: the k-th largest of the
/// voters' reported sequences is at or above its own. Reports are of this leader's epoch, the
/// leader's own is not among them, nor are observers', nor what is beyond the end of its log.
///
/// Thread safety: none; a value.
struct AckTracker: Sendable {
    /// Writes that wait for the same, by sequence.
    private struct Lane: Sendable {
        let followers: Int
        let point: ReplicaPoint
        let local: AckPoint
        var writes: [Waiting] = []
        /// Writes before this index are done.
        var head = 0
    }

    private struct Waiting: Hashable, Sendable {
        let ticket: UInt64
        let sequence: UInt64
        let since: Tick
    }

    /// Proof that nobody else leads.
    private struct Confirmation: Hashable, Sendable {
        let ticket: UInt64
        let followers: Int
        let point: ReplicaPoint
        let beat: UInt64
        let since: Tick
        /// The end of the log, once the leader's epoch has begun there: an older epoch's records
        /// may be cut back although many hold them.
        var sequence: UInt64?
    }

    /// Why the store asks for fewer followers than its writers.
    private struct Degradation: Hashable, Sendable {
        var followers: Int
        let point: ReplicaPoint
        let floor: Int
        /// Since when enough followers are close to the end.
        var backSince: Tick?
    }

    private let epoch: Epoch
    /// The voters that may follow.
    private let voters: [UniqueID]
    /// Per point: the voters' sequences, largest first.
    private var reached: [[UInt64]]
    /// The voters' last seen beats, largest first.
    private var beats: [UInt64]
    private var lanes: [Lane] = []
    private var confirmations: [Confirmation] = []
    private var degradation: Degradation?

    init(epoch: Epoch, ground: Ground) {
        self.epoch = epoch
        voters = ground.membership.voters.filter { $0 != ground.id }
        beats = voters.map { _ in 0 }
        reached = ReplicaPoint.allCases.map { [zeros = beats] _ in zeros }
    }

    var isDegraded: Bool { degradation != nil }

    /// How many followers a requirement means; `nil` when there are not so many.
    static func followers(_ requirement: Requirement, _ membership: Membership) -> Int? {
        let count: Int
        switch requirement {
        case .none: return 0
        case .followers(let followers, _): count = followers
        case .allFollowers: count = membership.followersMax
        }
        return (0...membership.followersMax).contains(count) ? count : nil
    }

    private static func point(_ requirement: Requirement) -> ReplicaPoint {
        switch requirement {
        case .none: .received
        case .followers(_, let point), .allFollowers(let point): point
        }
    }

    /// The sequence that so many voters have reached.
    func reached(by followers: Int, _ point: ReplicaPoint) -> UInt64 {
        followers == 0 ? .max : reached[Int(point.rawValue)][followers - 1]
    }

    // MARK: What waits

    /// What is needed of followers for the write that waits longest for them; `nil` when none does.
    var awaited: (sequence: UInt64, point: ReplicaPoint)? {
        let held = lanes.filter { lane in
            lane.head < lane.writes.count
                && reached(by: asked(lane.followers), lane.point) < lane.writes[lane.head].sequence
        }
        let longest = held.min { $0.writes[$0.head].since < $1.writes[$1.head].since }
        return longest.map { ($0.writes[$0.head].sequence, $0.point) }
    }

    mutating func add(_ write: Write, _ ground: inout Ground) {
        guard let followers = AckTracker.followers(write.requirement, ground.membership) else {
            preconditionFailure("a write asks for more followers than there are")
        }
        let point = AckTracker.point(write.requirement)
        let waiting = Waiting(ticket: write.ticket, sequence: write.sequence, since: ground.now)
        let index =
            lanes.firstIndex {
                $0.followers == followers && $0.point == point && $0.local == write.local
            } ?? lanes.endIndex
        if index == lanes.endIndex {
            lanes.append(Lane(followers: followers, point: point, local: write.local))
        }
        // Nearly always at the end.
        var place = lanes[index].writes.endIndex
        while place > lanes[index].head, lanes[index].writes[place - 1].sequence > write.sequence {
            place -= 1
        }
        lanes[index].writes.insert(waiting, at: place)
        release(index, &ground)
    }

    /// Returns whether the leader's epoch has to begin first.
    mutating func confirm(
        _ ticket: UInt64,
        _ requirement: Requirement,
        nextBeat: UInt64,
        _ ground: inout Ground
    ) -> Bool {
        let asked = AckTracker.followers(requirement, ground.membership) ?? 0
        let hasBegun = ground.log.tail.epoch == epoch
        confirmations.append(
            Confirmation(
                ticket: ticket,
                followers: max(asked, ground.membership.failoverFollowers),
                point: AckTracker.point(requirement),
                beat: nextBeat,
                since: ground.now,
                sequence: hasBegun ? ground.log.tail.sequence : nil
            )
        )
        releaseConfirmations(&ground)
        return !hasBegun
    }

    // MARK: What is reached

    /// Takes the reports of all members behind the leader.
    mutating func update(_ reports: [MemberReport], _ ground: inout Ground) {
        let end = ground.log.tail.sequence
        let counted = voters.map { voter in
            reports.first { $0.member == voter && $0.epoch == epoch }
        }
        for report in counted {
            guard let report, report.watermarks.received > end else { continue }
            ground.note(.aheadReport(report.member))
        }
        // A member that claims what was never written is not believed anything.
        let believed = counted.map { report in
            report.flatMap { $0.watermarks.received <= end ? $0 : nil }
        }
        for point in ReplicaPoint.allCases {
            let sequences = believed.map { report in
                report.map { min($0.watermarks[point], $0.watermarks.received) } ?? 0
            }
            reached[Int(point.rawValue)] = sequences.sorted(by: >)
        }
        beats = believed.map { $0?.beat ?? 0 }.sorted(by: >)
        release(&ground)
    }

    /// Completes what is done.
    mutating func release(_ ground: inout Ground) {
        for index in lanes.indices { release(index, &ground) }
        releaseConfirmations(&ground)
    }

    private mutating func release(_ index: Int, _ ground: inout Ground) {
        let lane = lanes[index]
        let followers = asked(lane.followers)
        let end = min(reached(by: followers, lane.point), local(lane.local, ground))
        var head = lane.head
        while head < lane.writes.count, lane.writes[head].sequence <= end {
            let write = lane.writes[head]
            let outcome = Outcome.acked(receipt(of: write.sequence, lane, ground))
            ground.actions.append(.complete(ticket: write.ticket, outcome))
            head += 1
        }
        guard head > lane.head else { return }
        lanes[index].head = head
        if head * 2 > lane.writes.count {
            lanes[index].writes.removeFirst(head)
            lanes[index].head = 0
        }
    }

    /// How many followers a write needs now.
    private func asked(_ followers: Int) -> Int {
        degradation.map { min(followers, $0.floor) } ?? followers
    }

    private func local(_ point: AckPoint, _ ground: Ground) -> UInt64 {
        switch point {
        case .memory: ground.log.tail.sequence
        case .wal: ground.watermarks.wal
        case .disk: ground.watermarks.disk
        }
    }

    private func receipt(of sequence: UInt64, _ lane: Lane, _ ground: Ground) -> ReplicaReceipt {
        ReplicaReceipt(
            epoch: epoch,
            sequence: sequence,
            local: AckPoint.allCases.last { local($0, ground) >= sequence },
            followers: reached.map { sequences in sequences.count { $0 >= sequence } },
            isDegraded: reached(by: lane.followers, lane.point) < sequence
                && asked(lane.followers) < lane.followers
        )
    }

    private mutating func releaseConfirmations(_ ground: inout Ground) {
        guard !confirmations.isEmpty else { return }
        if ground.log.tail.epoch == epoch {
            for index in confirmations.indices where confirmations[index].sequence == nil {
                confirmations[index].sequence = ground.log.tail.sequence
            }
        }
        let waiting = confirmations
        confirmations = waiting.filter { !isDone($0) }
        for confirmation in waiting where isDone(confirmation) {
            complete(confirmation, nil, &ground)
        }
    }

    private func isDone(_ confirmation: Confirmation) -> Bool {
        guard let sequence = confirmation.sequence else { return false }
        let followers = confirmation.followers
        return reached(by: followers, confirmation.point) >= sequence
            && (followers == 0 || beats[followers - 1] >= confirmation.beat)
    }

    private func complete(_ confirmation: Confirmation, _ doubt: Doubt?, _ ground: inout Ground) {
        let lane = Lane(
            followers: confirmation.followers,
            point: confirmation.point,
            local: .memory
        )
        let receipt = receipt(of: confirmation.sequence ?? 0, lane, ground)
        let outcome = doubt.map { Outcome.indeterminate(receipt, $0) } ?? .acked(receipt)
        ground.actions.append(.complete(ticket: confirmation.ticket, outcome))
    }

    // MARK: What is not

    /// Ends waits that are over, and enters and leaves the degraded state.
    mutating func tick(_ ground: inout Ground) {
        switch ground.settings.shortfall {
        case .wait:
            break
        case .fail(let after):
            expire(after, &ground)
        case .degrade(let floor, let after):
            degrade(floor, after, &ground)
            restore(&ground)
            expire(after, &ground)
        }
    }

    private mutating func expire(_ after: Tick, _ ground: inout Ground) {
        for index in lanes.indices {
            let short = reached(by: asked(lanes[index].followers), lanes[index].point)
            let now = ground.now
            let isOver = { (write: Waiting) in
                write.sequence > short && now - write.since >= after
            }
            for write in lanes[index].writes[lanes[index].head...] where isOver(write) {
                let receipt = receipt(of: write.sequence, lanes[index], ground)
                let outcome = Outcome.indeterminate(receipt, .tooFewFollowers)
                ground.actions.append(.complete(ticket: write.ticket, outcome))
            }
            lanes[index].writes.removeFirst(lanes[index].head)
            lanes[index].head = 0
            lanes[index].writes.removeAll(where: isOver)
        }
        for confirmation in confirmations where ground.now - confirmation.since >= after {
            complete(confirmation, .tooFewFollowers, &ground)
        }
        confirmations.removeAll { ground.now - $0.since >= after }
    }

    /// The store as a whole asks for fewer followers once a write was short for long enough.
    private mutating func degrade(_ floor: Int, _ after: Tick, _ ground: inout Ground) {
        var hasChanged = false
        for lane in lanes where lane.followers > max(floor, degradation?.followers ?? 0) {
            let short = reached(by: lane.followers, lane.point)
            let isShort = lane.writes[lane.head...].contains {
                $0.sequence > short && ground.now - $0.since >= after
            }
            guard isShort else { continue }
            degradation = Degradation(followers: lane.followers, point: lane.point, floor: floor)
            ground.note(.degraded(followers: lane.followers, at: lane.point))
            hasChanged = true
        }
        if hasChanged { release(&ground) }
    }

    /// Enough followers, close enough to the end, for long enough: what was asked counts again.
    private mutating func restore(_ ground: inout Ground) {
        guard let degradation else { return }
        let behind = ground.log.tail.sequence
        let reached = reached(by: degradation.followers, degradation.point)
        guard reached >= behind || behind - reached <= ground.settings.rejoinLag else {
            self.degradation?.backSince = nil
            return
        }
        let since = degradation.backSince ?? ground.now
        self.degradation?.backSince = since
        guard ground.now - since >= ground.settings.rejoinHold else { return }
        self.degradation = nil
        ground.note(.restored)
    }

    /// The member leads no longer: nothing that waits can be known.
    mutating func abandon(_ ground: inout Ground) {
        for lane in lanes {
            for write in lane.writes[lane.head...] {
                let receipt = receipt(of: write.sequence, lane, ground)
                let outcome = Outcome.indeterminate(receipt, .noLongerLeading)
                ground.actions.append(.complete(ticket: write.ticket, outcome))
            }
        }
        for confirmation in confirmations { complete(confirmation, .noLongerLeading, &ground) }
        lanes = []
        confirmations = []
    }
}
