package import StorageEngine

// The protocol of replication, without what it runs on: no sockets, clocks, files, threads, or
// randomness but the seed. Events go in, actions come out: the same events give the same actions.
// The simulation drives this code, and so does the host in production.
//
// WHO IS WHO. Members of one history: voters, one of whom leads, and observers. With N voters,
// F = N − 1 of them follow. w₀ is the smallest number of followers whose acks carry a failover
// promise: what w ≥ w₀ followers acknowledged is in the log of every later leader, as long as w₀
// of them still hold it.
//
// EPOCHS. A number is term × 2³² + opening. A term begins when enough voters promised it to one
// member; a later opening, when that member opened its store again after a clean close. The epoch
// is announced before it begins: together with its *foundation*, the end of the leader's log at
// that time. Its entry in the epoch table comes with its first record, right behind the foundation.
//
//  1. Terms are divided among the voters, so that no two ever ask for the same. One member makes
//     all records of a term, so its epochs are one line: of two logs that end in the same term, one
//     is the beginning of the other.
//  2. The promised epoch never falls. It is on disk before a promise is given and before a leader
//     is followed. Leaders of lower epochs, and other holders of the same term, are refused and
//     told so; a leader that learns of a higher one stops.
//  3. Before a term begins, N − w₀ voters have promised it; one more, if any of them may lack what
//     it acknowledged as leader (*suspect*). Any N − w₀ voters and any leader with w₀ followers
//     have a member in common; of any N − w₀ + 1, one that is not the leader.
//  4. Whoever leads a term first has the highest (epoch, sequence) among the consulted, fetched
//     from them if need be. From 1 to 4: it has every record that w₀ followers acknowledged in any
//     lower term, whether or not those in between had made records of their own.
//  5. A leader that was not closed cleanly asks again (3, 4) before it leads: followers may hold
//     what it lost. That it is suspect is on disk first, so that a clean close in between hides
//     nothing, until it holds on disk what a later leader has.
//
// FOLLOWING. A greeting shows the epoch table and the end of the log. The feeder and the follower
// both compute the course from the two tables, and must agree.
//
//  6. A log is cut back to the last place both logs have, by the epoch tables alone. A feeder that
//     has not reached the foundation says `behind`; nobody is cut on its word. Records of the
//     leader's own epoch are never cut.
//  7. A pack is taken if its predecessor, sequence and hash, is exactly the end of the log.
//     Duplicates are ignored; anything else ends the session, and the follower greets again.
//  8. A report says what is so: of a log on the leader's line, in the leader's epoch, for this
//     opening of the member. Points reached before the log was cut back are late, and dropped.
//  9. Another history is refused, both ways. A member without one takes the feeder's, and only if
//     its log is empty; it leads only by `bootstrap`, which asks the other voters first and gives
//     up when one of them has a history, or is about to begin one. A host that knows the history
//     of a new member writes it into its first mark, so that it takes no other.
// 10. Feeders may be relays: they hand on beats, never make them, and reports, never change them.
//     The route that a beat took is in it, so that nobody is fed by whom it feeds.
//
// LEADING.
//
// 11. A write is done when its local point and so many distinct voters besides the leader have
//     reached it, by reports of the leader's own epoch, within the leader's log.
// 12. A write that is not done in time, or when the leader stops, is indeterminate, and its receipt
//     says what was reached. A degraded store says so in each receipt that asked for more.
// 13. A confirmation needs w₀ followers that saw a beat made after it was asked for, and all of the
//     log, with a record of the leader's own epoch, on w₀ followers: a record of an older epoch may
//     be outranked even if every voter but one holds it.

/// One member: leader, follower, or about to be either.
///
/// Thread safety: none; a value. The host gives it one event at a time.
package struct MemberCore: Sendable {
    private var ground: Ground
    private var feeder = Feeder()
    private var follower: FollowerCore
    private var leader: LeaderCore?
    private var promotion: Promotion?
    private var founding: Founding?

    /// A member as its host opens it. `preferences` says whom to greet first, in this order, when
    /// no leader is known; `mark` is what the last opening left, or a new one; `seed` is random,
    /// and new for each opening.
    package init(
        id: UniqueID,
        membership: Membership,
        settings: Settings,
        preferences: [UniqueID],
        mark: Mark,
        seed: UInt64
    ) {
        ground = Ground(
            id: id,
            membership: membership,
            settings: settings,
            mark: mark,
            seed: seed
        )
        follower = FollowerCore(preferences: preferences.filter { $0 != id })
    }

    /// Says what the host found when it opened the log; before the first event.
    package mutating func restore(
        _ log: LogOutline,
        _ watermarks: Watermarks,
        partialCopy: PartialCopy? = nil
    ) {
        ground.log = log
        ground.watermarks = watermarks
        follower.restore(partialCopy)
    }

    /// Says that changes do not go together with the host's store, so that only a copy of the whole
    /// state helps; before the first greeting.
    package mutating func requireWholeCopy() { follower.requireWholeCopy() }

    // MARK: What the host may ask

    package var id: UniqueID { ground.id }
    package var mark: Mark { ground.mark }
    package var log: LogOutline { ground.log }
    /// Which line of the log completions are of.
    package var generation: UInt64 { ground.generation }
    package var isSuspect: Bool { ground.isSuspect }
    package var leadership: Leadership? { leader?.leadership }
    package var isDegraded: Bool { leader?.acks.isDegraded ?? false }

    /// What so many followers have reached of the leader's own epoch; `nil` for a member that does
    /// not lead, or has made no record yet.
    package func replicated(by followers: Int, at point: ReplicaPoint) -> UInt64? {
        guard let leader, ground.log.tail.epoch == leader.leadership.epoch else { return nil }
        let sequence = leader.acks.reached(by: followers, point)
        return sequence > leader.leadership.foundation.sequence ? sequence : nil
    }

    /// Whether a write may ask for this: asked before it is made. More followers than there are
    /// would never be reached.
    package func admits(_ requirement: Requirement) -> Bool {
        AckTracker.followers(requirement, ground.membership) != nil
    }

    // MARK: Events

    package mutating func handle(_ event: CoreEvent, now: Tick) -> [CoreAction] {
        ground.now = max(ground.now, now)
        switch event {
        case .opened(let isClean): open(isClean: isClean)
        case .tick: tick()
        case .received(let message, let peer): receive(message, from: peer)
        case .appended, .reached, .cut, .fetched, .copyOpened, .partRead, .partStored,
            .copyAdopted:
            handleLog(event)
        case .write(let write): add(write)
        case .confirm(let ticket, let requirement): confirm(ticket, requirement)
        case .bootstrap(let history, let patience): bootstrap(history, patience)
        case .promote(let acceptLoss): promote(acceptLoss: acceptLoss)
        }
        settle()
        defer { ground.actions = [] }
        return ground.actions
    }

    private mutating func open(isClean: Bool) {
        ground.open(isClean: isClean)
        guard ground.mark.leads else { return }
        if ground.isSuspect {
            promotion = Promotion(cause: .reopening, acceptLoss: false, &ground)
        } else {
            lead(ground.mark.promised.reopened(starter: ground.nextRandom()))
        }
    }

    private mutating func tick() {
        if let beat = leader?.tick(&ground) { feeder.beat(beat, ground.log.tail, &ground) }
        leader?.probe(feeder.reports, &ground)
        feeder.tick(&ground)
        if let step = promotion?.tick(&ground) { take(step) }
        if let step = founding?.tick(&ground) { take(step) }
        guard leader == nil, promotion?.mayFollow ?? true else { return }
        if follower.tick(&ground) { follower.report(feeder.reports, &ground) }
    }

    private mutating func handleLog(_ event: CoreEvent) {
        switch event {
        case .appended(let tail):
            precondition(leader != nil, "a record made by a member that does not lead")
            leader?.appended(tail, &ground)
            feeder.pumpAll(&ground)
        case .reached(let watermarks, ground.generation):
            ground.advance(to: watermarks)
            leader?.reached(&ground)
            follower.reached(ground)
            follower.report(feeder.reports, &ground)
        case .cut(let result, ground.generation):
            follower.cut(result, &ground)
        case .copyAdopted(ground.generation):
            follower.adoptedCopy(&ground)
            if let step = promotion?.extended(ground) { take(step) }
        case .fetched(let session, let result):
            feeder.fetched(session, result, &ground)
        case .copyOpened(let session, let offer):
            feeder.opened(session, offer, &ground)
        case .partRead(let session, let part):
            feeder.read(session, part, &ground)
        case .partStored(let part):
            follower.stored(part, ground)
            promotion?.partStored(ground)
            follower.report(feeder.reports, &ground)
        default:
            break
        }
    }

    // MARK: Messages

    private mutating func receive(_ message: Message, from peer: UniqueID) {
        switch message {
        case .hello(let hello):
            if hello.history != nil { giveWay(to: peer) }
            if hello.history == ground.mark.history {
                learn(hello.promised, of: hello.holder, from: peer)
            }
            feeder.greet(hello, from: peer, &ground)
        case .follow(let follow):
            feeder.follow(follow, from: peer, &ground)
        case .take(let take):
            feeder.take(take, from: peer, &ground)
        case .report(let report):
            receive(report, from: peer)
        case .consult(let consult):
            answer(consult, from: peer)
        case .answer(let answer):
            if let step = promotion?.answered(answer, from: peer, &ground) { take(step) }
            if let step = founding?.answered(answer, from: peer, ground) { take(step) }
            if let leader, answer.nonce == leader.leadership.epoch.starter {
                learn(answer.promised, of: answer.holder, from: peer)
            }
        case .refusal(let refusal):
            receive(refusal, from: peer)
        case .welcome, .pack, .offer, .part, .beat:
            receiveFed(message, from: peer)
        }
    }

    private mutating func receive(_ report: Report, from peer: UniqueID) {
        guard feeder.isSession(report.session, peer) else { return }
        learn(report.promised, of: report.holder, from: peer)
        guard feeder.report(report, from: peer, &ground) else { return }
        if leader == nil {
            follower.report(feeder.reports, &ground)
        } else {
            leader?.reported(feeder.reports, &ground)
        }
    }

    private mutating func receive(_ refusal: Refusal, from peer: UniqueID) {
        let isMine = feeder.isSession(refusal.about, peer) || follower.isMine(refusal, from: peer)
        if isMine, case .fenced(let epoch, let holder) = refusal.reason {
            learn(epoch, of: holder, from: peer)
        }
        if let step = founding?.refused(refusal, from: peer, ground) { take(step) }
        follower.refused(refusal, from: peer, &ground)
    }

    /// What feeders send. One that was replaced is told so.
    private mutating func receiveFed(_ message: Message, from peer: UniqueID) {
        switch message {
        case .welcome(let welcome):
            follower.welcome(welcome, from: peer, &ground)
        case .pack(let session, let epoch, let pack):
            guard !isFenced(epoch, session, from: peer) else { return }
            guard follower.take(pack, session: session, from: peer, &ground) else { return }
            if let step = promotion?.extended(ground) { take(step) }
            feeder.pumpAll(&ground)
        case .beat(let beat):
            guard !isFenced(beat.epoch, beat.session, from: peer) else { return }
            guard follower.beat(beat, from: peer, &ground), let line = follower.line else { return }
            if ground.settings.relays { feeder.serve(line, &ground) }
            feeder.beat(beat.count, beat.tail, &ground)
        case .offer(let session, let offer):
            follower.offered(offer, session: session, from: peer, &ground)
        case .part(let session, let part):
            follower.take(part, session: session, from: peer, &ground)
        default:
            break
        }
    }

    private mutating func isFenced(
        _ epoch: Epoch,
        _ session: UInt64,
        from peer: UniqueID
    ) -> Bool {
        guard epoch.number < ground.mark.promised.number else { return false }
        ground.refuse(peer, about: session, ground.fence)
        return true
    }

    private mutating func answer(_ consult: Consult, from peer: UniqueID) {
        guard ground.membership.isVoter(peer), ground.membership.isVoter(ground.id),
            peer != ground.id, consult.epoch?.isFirstOfTerm ?? true
        else { return }
        if let history = ground.mark.history ?? founding?.history, history != consult.history {
            giveWay(to: peer)
            return ground.refuse(peer, about: consult.nonce, .wrongStore)
        }
        // Nobody knows where the log will end.
        guard ground.pending == nil else { return }
        if let epoch = consult.epoch { learn(epoch, of: peer, from: peer) }
        let isPromised =
            consult.epoch == ground.mark.promised && ground.mark.holder == peer && leader == nil
        let answer = Answer(
            nonce: consult.nonce,
            granted: isPromised ? consult.epoch : nil,
            promised: ground.mark.promised,
            holder: ground.mark.holder,
            isSuspect: ground.isSuspect,
            tail: ground.log.tail
        )
        ground.send(.answer(answer), to: peer)
    }

    // MARK: Epochs

    /// A voter says that one holds a higher epoch: whatever was of a lower one ends here. Observers
    /// depose nobody.
    private mutating func learn(_ epoch: Epoch, of holder: UniqueID?, from peer: UniqueID) {
        guard let holder, ground.membership.isVoter(holder), ground.membership.isVoter(peer) else {
            return
        }
        let hasForgotten = ground.hasForgotten(epoch, of: holder)
        guard hasForgotten || ground.judge(epoch, of: holder) == .higher else { return }
        let isLeading = leader != nil
        leader?.stop(&ground)
        leader = nil
        promotion = nil
        follower.leave()
        feeder.stop(&ground)
        ground.remember { mark in
            mark.promised = epoch
            mark.holder = holder
            mark.leads = false
        }
        if hasForgotten { ground.distrust() }
        guard isLeading else { return }
        ground.note(.steppedDown(for: epoch))
        ground.clearStanding(at: ground.log.tail.sequence, byOwnLog: true)
    }

    private mutating func take(_ step: Promotion.Step) {
        switch step {
        case .waiting:
            break
        case .adopt(let source):
            follower.adopt(from: source, &ground)
        case .lead(let epoch):
            lead(epoch)
        case .failed, .superseded:
            promotion = nil
            follower.leave()
            ground.remember { $0.leads = false }
        }
    }

    private mutating func lead(_ epoch: Epoch) {
        promotion = nil
        follower.leave()
        ground.lead(epoch)
        let leadership = Leadership(epoch: epoch, leader: ground.id, foundation: ground.log.tail)
        leader = LeaderCore(leadership: leadership, ground: ground)
        ground.actions.append(.lead(leadership))
        let line = Feeder.Line(leadership: leadership, isLeader: true, route: [ground.id])
        feeder.serve(line, &ground)
    }

    private mutating func promote(acceptLoss: Bool) {
        guard leader == nil, ground.role == .voter, ground.mark.history != nil else { return }
        ground.remember { $0.leads = false }
        follower.leave()
        promotion = Promotion(cause: .command, acceptLoss: acceptLoss, &ground)
    }

    /// What is fed is always of the promised epoch, and only while there is a way to its leader.
    private mutating func settle() {
        if !canBegin { giveWay(to: follower.feeder ?? ground.mark.holder ?? ground.id) }
        if let epoch = follower.epoch, epoch != ground.mark.promised { follower.leave() }
        guard leader == nil else { return }
        if feeder.feeds(besides: ground.mark.promised) { feeder.stop(&ground) }
        guard ground.settings.relays else { return }
        if let line = follower.line {
            if feeder.line?.route != line.route { feeder.serve(line, &ground) }
        } else {
            feeder.loseRoute()
        }
    }
}

// MARK: A new history

extension MemberCore {
    /// Only the member that begins a history leads without a promise: there is nobody to give one.
    private mutating func bootstrap(_ history: UniqueID, _ patience: Tick) {
        guard canBegin, founding == nil else { return }
        guard patience > 0 else { return begin(history) }
        founding = Founding(history: history, patience: patience, &ground)
        ground.note(.consulting(nil))
    }

    private var canBegin: Bool {
        ground.mark.history == nil && ground.log.isEmpty && ground.role == .voter
            && ground.mark.promised == .none
    }

    private mutating func take(_ step: Founding.Step) {
        switch step {
        case .waiting:
            break
        case .taken(let voter):
            giveWay(to: voter)
        case .begin:
            guard let founding else { return }
            self.founding = nil
            let missing = founding.missing(ground)
            if !missing.isEmpty { ground.note(.begunWithout(missing)) }
            begin(founding.history)
        }
    }

    /// Begins no history: a member has one, or is about to begin one.
    private mutating func giveWay(to member: UniqueID) {
        guard founding != nil else { return }
        founding = nil
        ground.note(.historyFound(at: member))
    }

    private mutating func begin(_ history: UniqueID) {
        ground.remember { $0.history = history }
        lead(Epoch(number: 1, starter: ground.nextRandom()))
    }
}

// MARK: Writes

extension MemberCore {
    private mutating func add(_ write: Write) {
        guard leader == nil else {
            leader?.write(write, &ground)
            return
        }
        let isKept = write.sequence <= ground.log.tail.sequence
        complete(write.ticket, write.sequence, isKept ? .memory : nil)
    }

    private mutating func confirm(_ ticket: UInt64, _ requirement: Requirement) {
        guard leader == nil else {
            leader?.confirm(ticket, requirement, &ground)
            return
        }
        complete(ticket, 0, nil)
    }

    /// The outcome of what was asked of a member that does not lead.
    private mutating func complete(_ ticket: UInt64, _ sequence: UInt64, _ local: AckPoint?) {
        let receipt = ReplicaReceipt(
            epoch: ground.log.tail.epoch,
            sequence: sequence,
            local: local,
            followers: ReplicaPoint.allCases.map { _ in 0 },
            isDegraded: false
        )
        let outcome = Outcome.indeterminate(receipt, .noLongerLeading)
        ground.actions.append(.complete(ticket: ticket, outcome))
    }
}

// MARK: What a host shows

extension MemberCore {
    package var role: Role { ground.role }
    package var watermarks: Watermarks { ground.watermarks }
    /// Who feeds this member, when anybody does.
    package var feederID: UniqueID? { leader == nil ? follower.feeder : nil }
    /// The end of the leader's log as this member knows it.
    package var leaderTail: Tail? { leader == nil ? follower.leaderTail : ground.log.tail }
    /// What the members behind this one reported last.
    package var reports: [MemberReport] { feeder.reports }
    /// See ``AckTracker/awaited``.
    package var awaited: (sequence: UInt64, point: ReplicaPoint)? { leader?.acks.awaited }
    /// The sessions of those that this member feeds.
    package var sessions: [UInt64] { feeder.sessionIDs }
    /// Those of them that have not yet had all that the log held.
    package var catchingUp: [UInt64] { feeder.catchingUp }
    package var isPromoting: Bool { promotion != nil }
    /// Whether the voters are asked before a history is begun.
    package var isFounding: Bool { founding != nil }

    /// Whether packs and parts of a session are wanted; others need not be looked at.
    package func isFed(by peer: UniqueID, session: UInt64) -> Bool {
        follower.isSession(session, peer)
    }
}
