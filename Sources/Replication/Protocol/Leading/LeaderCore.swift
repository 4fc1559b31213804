import StorageEngine

/// Leads: makes beats, and knows which writes are done.
///
/// Thread safety: none; a value.
struct LeaderCore: Sendable {
    let leadership: Leadership
    private(set) var acks: AckTracker
    private var beatCount: UInt64 = 0
    private var nextBeatAt: Tick = 0
    private var nextProbeAt: Tick
    /// The beat at the time of the last probe.
    private var probedBeat: UInt64 = 0
    /// Whether the host was asked for the record that begins the epoch.
    private var hasAskedForRecord = false

    init(leadership: Leadership, ground: Ground) {
        self.leadership = leadership
        acks = AckTracker(epoch: leadership.epoch, ground: ground)
        nextProbeAt = ground.now + ground.settings.silenceMax
    }

    /// The leader's own records are in its log.
    mutating func appended(_ tail: Tail, _ ground: inout Ground) {
        precondition(tail.epoch == leadership.epoch, "a record of another epoch than the leader's")
        ground.extend(to: tail)
        acks.release(&ground)
    }

    mutating func write(_ write: Write, _ ground: inout Ground) { acks.add(write, &ground) }

    mutating func confirm(
        _ ticket: UInt64,
        _ requirement: Requirement,
        _ ground: inout Ground
    ) {
        let mustBegin = acks.confirm(ticket, requirement, nextBeat: beatCount + 1, &ground)
        guard mustBegin, !hasAskedForRecord else { return }
        hasAskedForRecord = true
        ground.actions.append(.appendNoOp)
    }

    mutating func reached(_ ground: inout Ground) { acks.release(&ground) }

    mutating func reported(_ reports: [MemberReport], _ ground: inout Ground) {
        acks.update(reports, &ground)
    }

    /// Returns the beat that is due.
    mutating func tick(_ ground: inout Ground) -> UInt64? {
        acks.tick(&ground)
        guard ground.now >= nextBeatAt else { return nil }
        nextBeatAt = ground.now + ground.settings.beatInterval
        beatCount += 1
        return beatCount
    }

    /// Asks the voters that saw no beat lately how things stand: they may follow somebody else, and
    /// nobody would tell a leader that nobody follows.
    mutating func probe(_ reports: [MemberReport], _ ground: inout Ground) {
        guard ground.now >= nextProbeAt, let history = ground.mark.history else { return }
        nextProbeAt = ground.now + ground.settings.silenceMax
        for voter in ground.membership.voters where voter != ground.id {
            let seen = reports.first { $0.member == voter }?.beat ?? 0
            guard seen <= probedBeat else { continue }
            let consult = Consult(history: history, nonce: leadership.epoch.starter, epoch: nil)
            ground.send(.consult(consult), to: voter)
        }
        probedBeat = beatCount
    }

    mutating func stop(_ ground: inout Ground) {
        acks.abandon(&ground)
        ground.actions.append(.stopLeading)
    }
}
