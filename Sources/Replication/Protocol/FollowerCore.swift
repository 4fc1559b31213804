import StorageEngine

/// Follows: greets a feeder, puts the log on the leader's line, takes packs, and reports.
///
/// Thread safety: none; a value.
struct FollowerCore: Sendable {
    private enum Stage: Hashable, Sendable {
        case greeting(nonce: UInt64, since: Tick)
        case cutting(Tail)
        case streaming
        /// Not on the leader's line, and only a copy helps.
        case waitingForCopy(since: Tail)
        case copying(CopyOffer, next: UInt64)
        case adopting(CopyOffer)
    }

    private struct Upstream: Sendable {
        let peer: UniqueID
        var stage: Stage
        var session: UInt64 = 0
        var leadership: Leadership?
        var route: [UniqueID] = []
        var beat: UInt64 = 0
        /// The end of the leader's log, as the last beat has it.
        var leaderTail: Tail?
        var lastHeard: Tick
        /// Whether anything came since the feeder was told that it is followed.
        var hasBegun = false
        /// When the log was last at the leader's end, or came closer to it.
        var lastProgress: Tick
        var lastReport: Tick = 0
        /// Bytes that came in this session.
        var taken: UInt64 = 0
    }

    private var choice: FeederChoice
    private var upstream: Upstream?
    private var greetAt: Tick = 0
    private var attempt: UInt64 = 0
    private(set) var partialCopy: PartialCopy?
    /// What the host holds in memory until it is written, of this session and of those before.
    private var unwritten = Unwritten()
    /// Whether no delta will do: it does not go together with the host's store.
    private var needsWhole = false
    /// Whoever's log is adopted before leading: nobody else is greeted.
    private(set) var source: UniqueID?

    init(preferences: [UniqueID]) { choice = FeederChoice(preferences: preferences) }

    mutating func restore(_ partialCopy: PartialCopy?) { self.partialCopy = partialCopy }

    /// Asks for the whole state from now on, until it has come.
    mutating func requireWholeCopy() {
        needsWhole = true
        if partialCopy?.offer.kind == .delta { partialCopy = nil }
    }

    /// The line that the log is on, while packs and beats come.
    var line: Feeder.Line? {
        guard source == nil, let upstream, upstream.stage == .streaming,
            let leadership = upstream.leadership
        else { return nil }
        return Feeder.Line(leadership: leadership, isLeader: false, route: upstream.route)
    }

    /// The epoch of the leader that is followed, once a feeder has said so.
    var epoch: Epoch? { upstream?.leadership?.epoch }

    /// Who feeds this member, once that one has said whom it follows itself.
    var feeder: UniqueID? { upstream.flatMap { $0.leadership == nil ? nil : $0.peer } }

    /// The end of the leader's log, as the last beat has it.
    var leaderTail: Tail? { upstream?.leaderTail }

    /// Whether packs and parts of a session are wanted.
    func isSession(_ id: UInt64, _ peer: UniqueID) -> Bool {
        guard let upstream, upstream.peer == peer, upstream.leadership != nil else { return false }
        return upstream.session == id
    }

    /// Whether a refusal answers this member's greeting, or ends its session.
    func isMine(_ refusal: Refusal, from peer: UniqueID) -> Bool {
        guard let upstream, upstream.peer == peer else { return false }
        if case .greeting(let nonce, _) = upstream.stage { return nonce == refusal.about }
        return upstream.session == refusal.about
    }

    // MARK: Choosing a feeder

    /// Follows nobody until further notice.
    mutating func leave() {
        choice.forgetHunger()
        upstream = nil
        source = nil
    }

    /// Follows one member, for its log.
    mutating func adopt(from source: UniqueID, _ ground: inout Ground) {
        self.source = source
        upstream = nil
        greetAt = ground.now
    }

    /// Returns whether a report is due.
    mutating func tick(_ ground: inout Ground) -> Bool {
        guard let upstream else {
            if ground.now >= greetAt, ground.pending == nil { greetNext(&ground) }
            return false
        }
        switch upstream.stage {
        case .greeting(_, let since):
            if ground.now - since > ground.settings.greetTimeout { lose(&ground) }
            return false
        case .cutting, .adopting:
            return false
        case .streaming, .waitingForCopy, .copying:
            // Nobody else would be faster while it is this member's own disk that is waited for.
            let isOwnFault = unwritten.hasParts
            guard ground.now - upstream.lastHeard <= silenceMax(upstream, ground),
                isOwnFault || ground.now - upstream.lastProgress <= ground.settings.stallMax
            else {
                lose(&ground)
                return false
            }
            return ground.now - upstream.lastReport >= ground.settings.reportInterval
        }
    }

    /// A feeder whose first sign of life is missing did not hear that it is followed. Whoever's log
    /// is adopted makes no beats.
    private func silenceMax(_ upstream: Upstream, _ ground: Ground) -> Tick {
        let isConfirmed = upstream.hasBegun || source != nil
        return isConfirmed ? ground.settings.silenceMax : ground.settings.greetTimeout
    }

    /// Gives up the feeder; another one is greeted soon.
    private mutating func lose(_ ground: inout Ground) {
        if let upstream {
            ground.note(.lostFeeder(upstream.peer))
            if upstream.hasBegun { choice.forgetHunger() }
        }
        upstream = nil
        greetAt = ground.now + ground.settings.greetPause
    }

    private mutating func greetNext(_ ground: inout Ground) {
        guard let peer = source ?? choice.next(ground) else { return }
        greet(peer, &ground)
    }

    private mutating func greet(_ peer: UniqueID, _ ground: inout Ground) {
        attempt += 1
        let nonce = ground.nextRandom()
        upstream = Upstream(
            peer: peer,
            stage: .greeting(nonce: nonce, since: ground.now),
            lastHeard: ground.now,
            lastProgress: ground.now
        )
        let hello = Hello(
            history: ground.mark.history,
            member: ground.id,
            role: ground.role,
            incarnation: ground.mark.incarnation,
            attempt: attempt,
            nonce: nonce,
            promised: ground.mark.promised,
            holder: ground.mark.holder,
            log: ground.log,
            isAdopting: source != nil
        )
        ground.send(.hello(hello), to: peer)
    }

    // MARK: From the feeder

    mutating func welcome(_ welcome: Welcome, from peer: UniqueID, _ ground: inout Ground) {
        guard let upstream, upstream.peer == peer,
            case .greeting(welcome.nonce, _) = upstream.stage
        else { return }
        guard isSound(welcome, from: peer, ground) else {
            ground.note(.refused(peer, .malformed))
            return lose(&ground)
        }
        if let own = ground.mark.history, own != welcome.history {
            ground.note(.wrongHistory(peer))
            ground.refuse(peer, about: welcome.session, .wrongStore)
            return lose(&ground)
        }
        let leadership = welcome.leadership
        guard ground.judge(leadership.epoch, of: leadership.leader) != .fenced else {
            ground.refuse(peer, about: welcome.session, ground.fence)
            return lose(&ground)
        }
        ground.remember { mark in
            mark.history = welcome.history
            mark.promised = leadership.epoch
            mark.holder = leadership.leader
        }
        self.upstream?.session = welcome.session
        self.upstream?.leadership = leadership
        self.upstream?.route = welcome.route + [ground.id]
        self.upstream?.lastHeard = ground.now
        choice.hint = nil
        guard case .cut(let end) = welcome.course else { return follow(&ground) }
        ground.note(.cutting(from: ground.log.tail, to: end))
        self.upstream?.stage = .cutting(end)
        ground.replace(.cut(to: end))
    }

    /// Whether a welcome says what it must, given the log that it shows.
    private func isSound(_ welcome: Welcome, from peer: UniqueID, _ ground: Ground) -> Bool {
        guard welcome.log.isWellFormed, welcome.route.last == peer,
            welcome.route.count <= ground.settings.routeMax,
            ground.membership.isVoter(welcome.leadership.leader),
            welcome.leadership.foundation.epoch.number < welcome.leadership.epoch.number,
            !welcome.route.contains(ground.id)
        else { return false }
        let course = Handshake.course(
            of: ground.log,
            behind: welcome.log,
            under: welcome.leadership,
            isLeader: peer == welcome.leadership.leader
        )
        return course == welcome.course
    }

    /// The log is on the leader's line: asks for what comes next.
    private mutating func follow(copyingFrom end: Tail? = nil, _ ground: inout Ground) {
        guard let upstream, let leadership = upstream.leadership else { return }
        let end = end ?? (needsWhole ? ground.log.tail : nil)
        self.upstream?.stage = end.map { .waitingForCopy(since: $0) } ?? .streaming
        self.upstream?.lastHeard = ground.now
        self.upstream?.lastProgress = ground.now
        let follow = Follow(
            session: upstream.session,
            after: end ?? ground.log.tail,
            granted: granted(ground),
            needsCopy: end != nil,
            copy: partialCopy?.offer.id
        )
        ground.send(.follow(follow), to: upstream.peer)
        if end == nil { ground.note(.following(upstream.peer, leadership)) }
    }

    mutating func cut(_ result: CutResult, _ ground: inout Ground) {
        var watermarks: Watermarks?
        if case .done(let left) = result { watermarks = left }
        ground.replaced(watermarks)
        unwritten.forgetPacks()
        guard case .cutting(let end) = upstream?.stage else { return }
        switch result {
        case .done:
            follow(&ground)
        case .impossible:
            follow(copyingFrom: end, &ground)
        case .diverged:
            if let upstream { ground.note(.refused(upstream.peer, .diverged)) }
            lose(&ground)
        }
    }

    /// Takes a pack whose predecessor is exactly the end of the log. Returns whether it did.
    mutating func take(_ pack: Pack, session: UInt64, from peer: UniqueID, _ ground: inout Ground)
        -> Bool
    {
        guard let upstream, upstream.peer == peer, upstream.session == session,
            upstream.stage == .streaming, let leadership = upstream.leadership
        else { return false }
        self.upstream?.lastHeard = ground.now
        switch ground.log.fit(pack) {
        case .duplicate:
            return false
        case .gap:
            ground.note(.gap(from: peer))
            greet(peer, &ground)
            return false
        case .next where keepsTheLine(pack, leadership, ground):
            // More than was granted is more than there is room for.
            guard unwritten.size < ground.settings.windowSize else {
                ground.note(.refused(peer, .malformed))
                lose(&ground)
                return false
            }
        case .next, .foreign:
            ground.note(.refused(peer, .diverged))
            lose(&ground)
            return false
        }
        ground.log.append(pack)
        ground.watermarks.received = pack.last
        self.upstream?.hasBegun = true
        self.upstream?.lastProgress = ground.now
        self.upstream?.taken &+= pack.size
        unwritten.add(pack)
        ground.actions.append(.apply(pack, generation: ground.generation))
        return true
    }

    /// No epoch above the leader's, and the leader's begins at its foundation.
    private func keepsTheLine(_ pack: Pack, _ leadership: Leadership, _ ground: Ground) -> Bool {
        guard pack.epoch.number <= leadership.epoch.number else { return false }
        guard pack.epoch.number == leadership.epoch.number else { return true }
        guard pack.epoch == leadership.epoch else { return false }
        guard pack.beginning.last == leadership.epoch else { return true }
        return pack.previousSequence == leadership.foundation.sequence
            && pack.hashBefore
                == LogHash.begin(leadership.epoch, after: leadership.foundation.logHash)
    }

    /// Returns the line's beat, to be handed on, when the leader has made a new one.
    mutating func beat(_ beat: Beat, from peer: UniqueID, _ ground: inout Ground) -> Bool {
        guard let upstream, upstream.peer == peer, upstream.session == beat.session,
            beat.count > upstream.beat
        else { return false }
        guard !beat.route.contains(ground.id), beat.route.count <= ground.settings.routeMax else {
            ground.note(.refused(peer, .loop))
            lose(&ground)
            return false
        }
        self.upstream?.route = beat.route + [ground.id]
        self.upstream?.lastHeard = ground.now
        self.upstream?.hasBegun = true
        self.upstream?.leaderTail = beat.tail
        guard upstream.stage == .streaming else { return false }
        if !beat.tail.ranksAbove(ground.log.tail) { self.upstream?.lastProgress = ground.now }
        self.upstream?.beat = beat.count
        if upstream.beat == 0 {
            // The log is on a later leader's line: with all that it has, nothing can be missing.
            ground.clearStanding(at: beat.tail.sequence, byOwnLog: false)
        }
        return true
    }

    mutating func refused(_ refusal: Refusal, from peer: UniqueID, _ ground: inout Ground) {
        guard isMine(refusal, from: peer) else { return }
        ground.note(.refused(peer, refusal.reason))
        if case .notLeader(let hint?) = refusal.reason, hint != peer,
            ground.membership.isVoter(hint)
        {
            choice.hint = hint
        }
        lose(&ground)
    }
}

// MARK: Copies and reports

extension FollowerCore {
    mutating func offered(
        _ offer: CopyOffer,
        session: UInt64,
        from peer: UniqueID,
        _ ground: inout Ground
    ) {
        guard let upstream, upstream.peer == peer, upstream.session == session,
            let leadership = upstream.leadership
        else { return }
        let since: Tail
        var takesDelta = false
        switch upstream.stage {
        case .streaming:
            since = ground.log.tail
            takesDelta = true
            // The offer of a copy that was taken, again.
            guard offer.log.tail.ranksAbove(since) else { return }
        case .waitingForCopy(let end): since = end
        case .greeting, .cutting, .copying, .adopting: return
        }
        // A copy never takes a log back, and is on the leader's line: of older epochs it has
        // nothing behind the foundation.
        let end = offer.log.tail
        let isOnLine =
            end.epoch == leadership.epoch
            || (end.epoch.number < leadership.epoch.number
                && end.sequence <= leadership.foundation.sequence)
        let isSound =
            offer.log.isWellFormed && offer.partCount > 0 && isOnLine && !since.ranksAbove(end)
            && (offer.kind == .base || takesDelta && !ground.log.isEmpty)
        guard isSound else {
            ground.note(.refused(peer, .malformed))
            return lose(&ground)
        }
        let isHeld = partialCopy?.offer == offer
        let next = isHeld ? partialCopy?.next ?? 0 : 0
        partialCopy = PartialCopy(offer: offer, next: next)
        self.upstream?.lastHeard = ground.now
        self.upstream?.hasBegun = true
        self.upstream?.lastProgress = ground.now
        ground.note(.copying(offer))
        let take = Take(session: session, copy: offer.id, from: next)
        ground.send(.take(take), to: peer)
        self.upstream?.stage = .copying(offer, next: next)
        if next == offer.partCount { adoptCopy(offer, &ground) }
    }

    mutating func take(
        _ part: CopyPart,
        session: UInt64,
        from peer: UniqueID,
        _ ground: inout Ground
    ) {
        guard let upstream, upstream.peer == peer, upstream.session == session,
            case .copying(let offer, let next) = upstream.stage, part.copy == offer.id
        else { return }
        self.upstream?.lastHeard = ground.now
        guard part.index == next else {
            // One was lost on the way: the greeting says which are there.
            if part.index > next { greet(peer, &ground) }
            return
        }
        // More than was granted is more than there is room for.
        guard unwritten.size < ground.settings.windowSize else {
            ground.note(.refused(peer, .malformed))
            return lose(&ground)
        }
        self.upstream?.lastProgress = ground.now
        self.upstream?.taken &+= part.size
        unwritten.add(part)
        ground.actions.append(.storePart(part, offer))
        self.upstream?.stage = .copying(offer, next: next + 1)
        partialCopy?.next = next + 1
        if next + 1 == offer.partCount { adoptCopy(offer, &ground) }
    }

    private mutating func adoptCopy(_ offer: CopyOffer, _ ground: inout Ground) {
        upstream?.stage = .adopting(offer)
        ground.replace(.adopting(offer))
    }

    mutating func adoptedCopy(_ ground: inout Ground) {
        guard case .adopting(let offer) = ground.pending else { return }
        partialCopy = nil
        needsWhole = false
        unwritten.forgetPacks()
        ground.replaced(Watermarks(all: offer.log.tail.sequence))
        guard case .adopting = upstream?.stage else { return }
        upstream?.beat = 0
        follow(&ground)
    }

    /// Points that the host reached: they count for the present log only.
    mutating func reached(_ ground: Ground) { unwritten.wrote(through: ground.watermarks.wal) }

    /// The host has written the oldest part that it holds: there is room for another.
    mutating func stored(_ part: CopyPart, _ ground: Ground) {
        unwritten.stored(part)
        upstream?.lastProgress = ground.now
    }

    /// How much the feeder may have sent in this session.
    private func granted(_ ground: Ground) -> UInt64 {
        let window = ground.settings.windowSize
        return (upstream?.taken ?? 0) &+ window - min(unwritten.size, window)
    }

    /// Reports, with what the members behind this one reported. Nothing is said of a log that is
    /// not on the leader's line.
    mutating func report(_ others: [MemberReport], _ ground: inout Ground) {
        guard let upstream, let leadership = upstream.leadership else { return }
        var entries: [MemberReport] = []
        switch upstream.stage {
        case .greeting, .cutting, .adopting:
            return
        case .waitingForCopy, .copying:
            break
        case .streaming:
            let own = MemberReport(
                member: ground.id,
                incarnation: ground.mark.incarnation,
                epoch: leadership.epoch,
                watermarks: ground.watermarks,
                beat: upstream.beat
            )
            entries = [own] + others
        }
        self.upstream?.lastReport = ground.now
        let report = Report(
            session: upstream.session,
            promised: ground.mark.promised,
            holder: ground.mark.holder,
            granted: granted(ground),
            entries: entries
        )
        ground.send(.report(report), to: upstream.peer)
    }
}
