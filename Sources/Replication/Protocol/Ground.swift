import StorageEngine

/// What the parts of a member's core share: who it is, what it remembers, its log's outline, and
/// the actions so far.
///
/// Thread safety: none; a value.
struct Ground: Sendable {
    let id: UniqueID
    let membership: Membership
    let settings: Settings
    private(set) var mark: Mark
    var log: LogOutline
    var watermarks: Watermarks
    /// Counts the times that the log's end was taken back; completions of before are late.
    private(set) var generation: UInt64 = 0
    /// What the host does to the log, and cannot be called back: until it is done, nobody knows
    /// what the log holds.
    enum Pending: Hashable, Sendable {
        case cut(to: Tail)
        case adopting(CopyOffer)
    }

    private(set) var pending: Pending?
    /// Whether what was acknowledged by leading may be missing from the log: not counted.
    private(set) var isSuspect = false
    /// The sequence that must be on disk for the standing to be clear again.
    private var clearAt: UInt64?
    var now: Tick = 0
    var actions: [CoreAction] = []
    private var random: UInt64

    init(id: UniqueID, membership: Membership, settings: Settings, mark: Mark, seed: UInt64) {
        self.id = id
        self.membership = membership
        self.settings = settings
        self.mark = mark
        log = .empty
        watermarks = Watermarks()
        random = seed
    }

    var role: Role { membership.isVoter(id) ? .voter : .observer }

    /// Numbers that no other opening of any member draws, as the host's seed is random. They need
    /// to be new, not secret.
    mutating func nextRandom() -> UInt64 {
        random &+= 0x9e37_79b9_7f4a_7c15
        var mixed = random
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    mutating func send(_ message: Message, to member: UniqueID) {
        actions.append(.send(message, to: member))
    }

    mutating func refuse(_ member: UniqueID, about: UInt64, _ reason: Refusal.Reason) {
        send(.refusal(Refusal(about: about, reason: reason)), to: member)
    }

    mutating func note(_ notice: Notice) { actions.append(.notice(notice)) }

    /// Changes the mark, durably before anything that follows.
    mutating func remember(_ change: (inout Mark) -> Void) {
        var changed = mark
        change(&changed)
        guard changed != mark else { return }
        mark = changed
        actions.append(.persist(mark))
    }

    /// How an epoch compares with the promised one.
    enum Judgement { case fenced, same, higher }

    /// Within a term, epochs have one holder: a number that another member promised, or holds in
    /// the same term, is fenced.
    func judge(_ epoch: Epoch, of holder: UniqueID?) -> Judgement {
        let promised = mark.promised
        guard epoch.number < Epoch.numberMax else { return .fenced }
        if epoch == promised, mark.holder == nil || holder == mark.holder { return .same }
        guard epoch.number > promised.number else { return .fenced }
        let isOther = epoch.term == promised.term && mark.holder != nil && holder != mark.holder
        return isOther ? .fenced : .higher
    }

    /// The reason for refusing an epoch.
    var fence: Refusal.Reason { .fenced(by: mark.promised, holder: mark.holder) }

    /// Takes the log's end back, or the whole log: completions of before no longer count.
    mutating func replace(_ pending: Pending) {
        generation += 1
        clearAt = nil
        self.pending = pending
        switch pending {
        case .cut(let end): actions.append(.cut(to: end, generation: generation))
        case .adopting(let offer): actions.append(.adoptCopy(offer, generation: generation))
        }
    }

    /// The host is done with it; a cut may have been impossible.
    mutating func replaced(_ watermarks: Watermarks?) {
        switch (pending, watermarks) {
        case (.cut(let end), let watermarks?):
            log.cut(to: end)
            self.watermarks = watermarks.limited(to: end.sequence)
        case (.adopting(let offer), let watermarks?):
            log = offer.log
            self.watermarks = watermarks
        case (_, nil), (nil, _):
            break
        }
        pending = nil
    }

    /// Begins the life of the member: what its last one left behind.
    mutating func open(isClean: Bool) {
        let mayHaveLost = mark.standing == .originated && !isClean
        isSuspect = mark.standing == .suspect || mayHaveLost
        let last = log.tail.epoch
        remember { mark in
            mark.incarnation += 1
            // The log of a backup says what a mark would.
            if last.number > mark.promised.number {
                mark.promised = last
                mark.holder = nil
            }
            if mayHaveLost { mark.standing = .suspect }
            if mark.standing == .originated, !mark.leads { mark.standing = .clear }
        }
        if isSuspect { note(.suspect) }
    }

    /// The member leads: its log is what counts.
    mutating func lead(_ epoch: Epoch) {
        isSuspect = false
        clearAt = nil
        let leader = id
        remember { mark in
            mark.promised = epoch
            mark.holder = leader
            mark.leads = true
            mark.standing = .originated
        }
    }

    /// Whether a member holds an epoch that it knows nothing of. What a member holds is durable
    /// before anybody hears of it, so this one's directory is an older one of its own.
    func hasForgotten(_ epoch: Epoch, of holder: UniqueID) -> Bool {
        holder == id && epoch != mark.promised && epoch.number >= mark.promised.number
            && epoch.number < Epoch.numberMax
    }

    /// The log may lack what the member acknowledged as leader.
    mutating func distrust() {
        isSuspect = true
        clearAt = nil
        remember { $0.standing = .suspect }
        note(.suspect)
    }

    /// The standing is clear once so much of the present log is on disk. A suspect's own log is no
    /// proof, only a later leader's.
    mutating func clearStanding(at sequence: UInt64, byOwnLog: Bool) {
        guard mark.standing != .clear, !(byOwnLog && isSuspect) else { return }
        clearAt = sequence
        clearStandingIfDurable()
    }

    /// The member's own records are in its log; the first one begins their epoch.
    mutating func extend(to tail: Tail) {
        if log.tail.epoch != tail.epoch { log.begin(tail.epoch) }
        log.extend(to: tail.sequence, logHash: tail.logHash)
        watermarks.received = tail.sequence
    }

    mutating func advance(to watermarks: Watermarks) {
        self.watermarks.advance(to: watermarks.limited(to: log.tail.sequence))
        clearStandingIfDurable()
    }

    private mutating func clearStandingIfDurable() {
        guard let clearAt, watermarks.disk >= clearAt else { return }
        self.clearAt = nil
        if isSuspect { note(.noLongerSuspect) }
        isSuspect = false
        remember { $0.standing = .clear }
    }
}
