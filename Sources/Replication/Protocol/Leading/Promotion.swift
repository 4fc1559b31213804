import StorageEngine

/// Finds out whether a member may lead, and makes it so: asks, fences, adopts.
///
/// Thread safety: none; a value.
struct Promotion: Sendable {
    enum Cause: Hashable, Sendable {
        case command
        /// The leader itself, opened again after an unclean end.
        case reopening
    }

    private enum Stage: Hashable, Sendable {
        /// How do things stand? Nobody is fenced while too few are there to replace the leader.
        case survey
        /// Promise to listen to nobody else.
        case fence(Epoch)
        /// Getting the records of whoever has the most.
        case adopt(Epoch, from: UniqueID, until: Tail)
    }

    /// What comes of a step.
    enum Step: Hashable, Sendable {
        case waiting
        case adopt(from: UniqueID)
        case lead(Epoch)
        case failed
        /// Somebody else holds a later epoch.
        case superseded
    }

    /// Whether the member may follow meanwhile: not once it has asked others not to.
    var mayFollow: Bool {
        switch stage {
        case .survey: cause == .command
        case .fence: false
        case .adopt: true
        }
    }

    let cause: Cause
    private let acceptLoss: Bool
    private var stage = Stage.survey
    private var nonce: UInt64 = 0
    private var answers: [(member: UniqueID, answer: Answer)] = []
    private var begun: Tick
    private var stageBegun: Tick
    private var lastAsked: Tick = 0

    init(cause: Cause, acceptLoss: Bool, _ ground: inout Ground) {
        self.cause = cause
        self.acceptLoss = acceptLoss
        begun = ground.now
        stageBegun = ground.now
        survey(&ground)
    }

    private mutating func survey(_ ground: inout Ground) {
        enter(.survey, &ground)
        ground.note(.consulting(nil))
        ask(&ground)
    }

    private mutating func enter(_ stage: Stage, _ ground: inout Ground) {
        self.stage = stage
        stageBegun = ground.now
        nonce = ground.nextRandom()
        answers = []
    }

    private mutating func ask(_ ground: inout Ground) {
        guard let history = ground.mark.history else { return }
        lastAsked = ground.now
        var epoch: Epoch?
        if case .fence(let candidate) = stage { epoch = candidate }
        let consult = Consult(history: history, nonce: nonce, epoch: epoch)
        for voter in ground.membership.voters where voter != ground.id {
            if answers.contains(where: { $0.member == voter }) { continue }
            ground.send(.consult(consult), to: voter)
        }
    }

    mutating func answered(_ answer: Answer, from voter: UniqueID, _ ground: inout Ground) -> Step {
        guard answer.nonce == nonce, ground.membership.isVoter(voter), voter != ground.id,
            answer.promised.number < Epoch.numberMax,
            !answers.contains(where: { $0.member == voter })
        else { return .waiting }
        if cause == .reopening, answer.holder != ground.id,
            answer.promised.number > ground.mark.promised.number
        {
            return .superseded
        }
        if case .fence(let epoch) = stage, answer.granted != epoch {
            guard cause == .command else { return .superseded }
            survey(&ground)
            return .waiting
        }
        answers.append((voter, answer))
        return decide(&ground)
    }

    mutating func tick(_ ground: inout Ground) -> Step {
        if case .adopt(let epoch, _, let end) = stage {
            guard ground.log.tail != end else { return .lead(epoch) }
            // The source may be gone: whoever is there is asked again.
            // But not while a copy of its takes the log's place.
            if ground.pending != nil { (begun, stageBegun) = (ground.now, ground.now) }
            if ground.now - stageBegun > ground.settings.consultTimeout {
                begun = ground.now
                fence(epoch, &ground)
            }
            return .waiting
        }
        if cause == .reopening, ground.now - stageBegun > ground.settings.consultTimeout {
            // Those who answered may have another leader by now, and who did not may never come.
            survey(&ground)
            return .waiting
        }
        if cause == .command, !acceptLoss,
            ground.now - begun > ground.settings.consultTimeout
        {
            ground.note(.promotionFailed)
            return .failed
        }
        if ground.now - lastAsked >= ground.settings.consultInterval { ask(&ground) }
        return decide(&ground)
    }

    /// A part of a copy came: the source is there.
    mutating func partStored(_ ground: Ground) {
        if case .adopt = stage { (begun, stageBegun) = (ground.now, ground.now) }
    }

    /// The log got longer: it may be long enough.
    mutating func extended(_ ground: Ground) -> Step {
        guard case .adopt(let epoch, _, let end) = stage else { return .waiting }
        (begun, stageBegun) = (ground.now, ground.now)
        return ground.log.tail == end ? .lead(epoch) : .waiting
    }

    /// Enough voters answered and the others had a moment: they may have more. Or loss is accepted,
    /// and they had their time.
    private mutating func decide(_ ground: inout Ground) -> Step {
        // A record has one leader: of all that are suspect, one may be the leader that lost it, and
        // the others still count for it as followers.
        let hasSuspect = ground.isSuspect || answers.contains { $0.answer.isSuspect }
        let trusted = answers.count + (hasSuspect ? 0 : 1)
        let isEnough = trusted >= ground.membership.consultedMin
        let waited = ground.now - stageBegun
        let isWhole = answers.count == ground.membership.followersMax
        let hasWaited = isWhole || waited >= 2 * ground.settings.consultInterval
        let mayLose = acceptLoss && waited > ground.settings.consultTimeout / 4
        guard isEnough ? hasWaited : mayLose, ground.pending == nil else { return .waiting }
        switch stage {
        case .survey:
            let terms = answers.map { $0.answer.promised.term } + [ground.mark.promised.term]
            let term = ground.membership.term(after: terms.max() ?? 0, of: ground.id)
            fence(Epoch(term: term, starter: ground.nextRandom()), &ground)
            return .waiting
        case .fence(let epoch):
            if !isEnough { ground.note(.lossAccepted(consulted: trusted)) }
            return choose(epoch, &ground)
        case .adopt:
            return .waiting
        }
    }

    /// The candidate promises first; then it asks the others to.
    private mutating func fence(_ epoch: Epoch, _ ground: inout Ground) {
        let candidate = ground.id
        ground.remember { mark in
            mark.promised = epoch
            mark.holder = candidate
        }
        enter(.fence(epoch), &ground)
        ground.note(.consulting(epoch))
        ask(&ground)
    }

    /// Whoever leads has all that anybody consulted has: by epoch and sequence.
    private mutating func choose(_ epoch: Epoch, _ ground: inout Ground) -> Step {
        var best: (member: UniqueID, tail: Tail) = (ground.id, ground.log.tail)
        for (member, answer) in answers where answer.tail.ranksAbove(best.tail) {
            best = (member, answer.tail)
        }
        guard best.member != ground.id else { return .lead(epoch) }
        stage = .adopt(epoch, from: best.member, until: best.tail)
        stageBegun = ground.now
        ground.note(.adopting(from: best.member, best.tail))
        return .adopt(from: best.member)
    }
}
