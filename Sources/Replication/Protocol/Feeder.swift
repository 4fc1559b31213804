import StorageEngine

/// Feeds followers from the member's log: the leader's, a relay's, or, for whoever was promised the
/// next epoch, that of a member which has more than it.
///
/// Thread safety: none; a value.
struct Feeder: Sendable {
    /// Whose records the log holds, and the way they came here.
    struct Line: Hashable, Sendable {
        let leadership: Leadership
        let isLeader: Bool
        /// The leader first, this member last.
        var route: [UniqueID]
    }

    private enum Stage: Hashable, Sendable {
        /// Welcomed; its log is not ready yet.
        case welcomed
        case streaming
        /// Waiting for the host to open a copy.
        case opening
        case copying(CopyOffer, next: UInt64)
    }

    private struct Session: Hashable, Sendable {
        let id: UInt64
        let peer: UniqueID
        let leadership: Leadership
        var stage = Stage.welcomed
        /// Where the follower's log ended when it said so last, and the end of what was sent.
        var followed = Tail.zero
        var sent = Tail.zero
        var sentSize: UInt64 = 0
        var granted: UInt64 = 0
        var isReading = false
        /// Whether it has had all that the log held at some time: until then it catches up.
        var isLive = false
        /// The end of the log when records were asked for last.
        var asked: UInt64 = 0
        /// When records may be asked for again, while it catches up.
        var nextReadAt: Tick = 0
        var partialCopy: UInt64?
        /// Whether the follower's state is not that of its log's end: no delta goes with it.
        var needsWhole = false
        var lastHeard: Tick
    }

    /// The last greeting of a member; older ones are late or replayed.
    private struct Greeting: Hashable, Sendable {
        let member: UniqueID
        let incarnation: UInt64
        let attempt: UInt64
    }

    private(set) var line: Line?
    private var sessions: [Session] = []
    private var greetings: [Greeting] = []
    /// The reports of all members behind this one, of the line's epoch.
    private(set) var reports: [MemberReport] = []

    private static let greetingsMax = 1_024
    private static let reportsMax = 256

    var sessionIDs: [UInt64] { sessions.map(\.id) }

    /// The sessions that have not had all that the log held at any time.
    var catchingUp: [UInt64] { sessions.filter { !$0.isLive }.map(\.id) }

    /// Whether anybody is fed under another epoch than this one, or would be.
    func feeds(besides epoch: Epoch) -> Bool {
        line.map { $0.leadership.epoch != epoch } ?? false
            || sessions.contains { $0.leadership.epoch != epoch }
    }

    // MARK: The line

    /// Takes up a line; followers of another leadership are sent away.
    mutating func serve(_ line: Line, _ ground: inout Ground) {
        if self.line?.leadership != line.leadership { stop(&ground) }
        self.line = line
        pumpAll(&ground)
    }

    /// Serves nobody, and tells everybody.
    mutating func stop(_ ground: inout Ground) {
        for session in sessions {
            ground.refuse(session.peer, about: session.id, .notLeader(hint: ground.mark.holder))
        }
        sessions = []
        reports = []
        line = nil
    }

    /// The log lost its way to the leader: nobody new is welcome until there is one.
    mutating func loseRoute() {
        line?.route = []
    }

    /// Hands a beat on; a relay only those that the leader made.
    mutating func beat(_ count: UInt64, _ leaderTail: Tail, _ ground: inout Ground) {
        guard let line else { return }
        for session in sessions where session.leadership == line.leadership {
            let beat = Beat(
                session: session.id,
                epoch: line.leadership.epoch,
                count: count,
                tail: leaderTail,
                route: line.route
            )
            ground.send(.beat(beat), to: session.peer)
        }
    }

    // MARK: From followers

    mutating func greet(_ hello: Hello, from peer: UniqueID, _ ground: inout Ground) {
        guard hello.member == peer, isNew(hello) else { return }
        if let reason = refusal(of: hello, ground) {
            return ground.refuse(peer, about: hello.nonce, reason)
        }
        // Whoever follows a later leader is not fed by one that was replaced.
        guard let history = ground.mark.history, let served = lineServed(to: hello, ground),
            served.leadership.epoch.number >= hello.promised.number
        else {
            let hint = ground.mark.holder == ground.id ? nil : ground.mark.holder
            return ground.refuse(peer, about: hello.nonce, .notLeader(hint: hint))
        }
        let course = Handshake.course(
            of: hello.log,
            behind: ground.log,
            under: served.leadership,
            isLeader: served.isLeader
        )
        switch course {
        case .behind: return ground.refuse(peer, about: hello.nonce, .behind(ground.log.tail))
        case .ahead: return ground.refuse(peer, about: hello.nonce, .ahead(ground.log.tail))
        case .foreign: return ground.refuse(peer, about: hello.nonce, .diverged)
        case .resume, .cut: break
        }
        sessions.removeAll { $0.peer == peer }
        guard sessions.count < ground.settings.sessionsMax else {
            return ground.refuse(peer, about: hello.nonce, .busy)
        }
        let session = Session(
            id: ground.nextRandom(),
            peer: peer,
            leadership: served.leadership,
            lastHeard: ground.now
        )
        sessions.append(session)
        let welcome = Welcome(
            nonce: hello.nonce,
            session: session.id,
            history: history,
            leadership: served.leadership,
            route: served.route,
            log: ground.log,
            course: course
        )
        ground.send(.welcome(welcome), to: peer)
    }

    /// Why a greeting is refused before the logs are compared.
    private func refusal(of hello: Hello, _ ground: Ground) -> Refusal.Reason? {
        guard hello.log.isWellFormed else { return .malformed }
        if let history = hello.history, let own = ground.mark.history, history != own {
            return .wrongStore
        }
        if hello.history == nil, !hello.log.isEmpty { return .malformed }
        let isVoter = ground.membership.isVoter(hello.member)
        guard (hello.role == .voter) == isVoter else { return .wrongRole }
        if let line, line.route.contains(hello.member) { return .loop }
        return nil
    }

    /// The line for a follower: the leader's, or the log as it is, for whoever it was promised to.
    private func lineServed(to hello: Hello, _ ground: Ground) -> Line? {
        guard hello.isAdopting else { return line.flatMap { $0.route.isEmpty ? nil : $0 } }
        guard line == nil, hello.member == ground.mark.holder,
            hello.promised == ground.mark.promised, ground.log.tail.epoch != hello.promised
        else { return nil }
        let leadership = Leadership(
            epoch: ground.mark.promised,
            leader: hello.member,
            foundation: ground.log.tail
        )
        return Line(leadership: leadership, isLeader: false, route: [ground.id])
    }

    /// Whether a greeting is newer than the last one of its member.
    private mutating func isNew(_ hello: Hello) -> Bool {
        if let index = greetings.firstIndex(where: { $0.member == hello.member }) {
            let last = greetings[index]
            guard
                (hello.incarnation, hello.attempt) > (last.incarnation, last.attempt)
            else { return false }
            greetings.remove(at: index)
        }
        if greetings.count == Feeder.greetingsMax { greetings.removeFirst() }
        greetings.append(
            Greeting(
                member: hello.member,
                incarnation: hello.incarnation,
                attempt: hello.attempt
            )
        )
        return true
    }

    mutating func follow(_ follow: Follow, from peer: UniqueID, _ ground: inout Ground) {
        guard let index = index(of: follow.session, peer) else { return }
        sessions[index].lastHeard = ground.now
        let isReady: Bool
        switch sessions[index].stage {
        case .welcomed: isReady = true
        // A copy was taken whole; the stream begins behind it.
        case .copying(let offer, _): isReady = follow.after == offer.log.tail
        case .streaming, .opening: isReady = false
        }
        guard isReady else { return }
        sessions[index].granted = limited(follow.granted, sessions[index], ground)
        sessions[index].followed = follow.after
        sessions[index].sent = follow.after
        sessions[index].partialCopy = follow.copy
        sessions[index].needsWhole = follow.needsCopy
        sessions[index].stage = .streaming
        if follow.needsCopy {
            openCopy(index, &ground)
        } else {
            pump(index, &ground)
        }
    }

    mutating func take(_ take: Take, from peer: UniqueID, _ ground: inout Ground) {
        guard let index = index(of: take.session, peer),
            case .copying(let offer, _) = sessions[index].stage, offer.id == take.copy,
            take.from <= offer.partCount
        else { return }
        sessions[index].lastHeard = ground.now
        sessions[index].stage = .copying(offer, next: take.from)
        pump(index, &ground)
    }

    /// Takes a follower's report, and those it hands on. Returns whether anything advanced.
    mutating func report(_ report: Report, from peer: UniqueID, _ ground: inout Ground) -> Bool {
        guard let index = index(of: report.session, peer) else { return false }
        sessions[index].lastHeard = ground.now
        let granted = limited(report.granted, sessions[index], ground)
        sessions[index].granted = max(sessions[index].granted, granted)
        var hasAdvanced = false
        for entry in report.entries.prefix(Feeder.reportsMax) where merge(entry, ground) {
            hasAdvanced = true
        }
        pump(index, &ground)
        return hasAdvanced
    }

    /// Within one opening and one epoch a member's points only advance, so that reports may come
    /// late, twice and by several ways. Those of another epoch or of an older opening are void.
    private mutating func merge(_ entry: MemberReport, _ ground: Ground) -> Bool {
        guard let line, entry.epoch == line.leadership.epoch, entry.member != ground.id else {
            return false
        }
        guard let index = reports.firstIndex(where: { $0.member == entry.member }) else {
            guard reports.count < Feeder.reportsMax else { return false }
            reports.append(entry)
            return true
        }
        let known = reports[index]
        guard entry.incarnation >= known.incarnation else { return false }
        if entry.incarnation > known.incarnation {
            reports[index] = entry
        } else {
            reports[index].watermarks.advance(to: entry.watermarks)
            reports[index].beat = max(known.beat, entry.beat)
        }
        return reports[index] != known
    }

    /// A follower may be wrong about what it grants; this side's window holds.
    private func limited(_ granted: UInt64, _ session: Session, _ ground: Ground) -> UInt64 {
        min(granted, session.sentSize + ground.settings.windowSize)
    }
}

// MARK: From the host

extension Feeder {
    mutating func fetched(_ id: UInt64, _ result: Fetched, _ ground: inout Ground) {
        guard let index = sessions.firstIndex(where: { $0.id == id }), sessions[index].isReading,
            sessions[index].stage == .streaming
        else { return }
        sessions[index].isReading = false
        let session = sessions[index]
        switch result {
        case .pack(let pack):
            sessions[index].sent = pack.tail
            sessions[index].sentSize += pack.size
            pace(index, pack.size, ground)
            let epoch = session.leadership.epoch
            ground.send(.pack(session: id, epoch: epoch, pack), to: session.peer)
            pump(index, &ground)
        case .trimmed where session.sent != session.followed:
            // What was sent may not have come: the follower is to say anew where its log ends.
            sessions.remove(at: index)
            ground.refuse(session.peer, about: id, .busy)
        case .trimmed:
            openCopy(index, &ground)
        case .diverged:
            sessions.remove(at: index)
            ground.refuse(session.peer, about: id, .diverged)
        }
    }

    private mutating func openCopy(_ index: Int, _ ground: inout Ground) {
        let session = sessions[index]
        sessions[index].stage = .opening
        ground.actions.append(
            .openCopy(
                session: session.id,
                since: session.sent,
                resuming: session.partialCopy,
                isWhole: session.needsWhole
            )
        )
    }

    mutating func opened(_ id: UInt64, _ offer: CopyOffer, _ ground: inout Ground) {
        guard let index = sessions.firstIndex(where: { $0.id == id }),
            sessions[index].stage == .opening
        else { return }
        // Nothing is sent before the follower says from where on.
        sessions[index].stage = .copying(offer, next: offer.partCount)
        ground.send(.offer(session: id, offer), to: sessions[index].peer)
    }

    mutating func read(_ id: UInt64, _ part: CopyPart, _ ground: inout Ground) {
        guard let index = sessions.firstIndex(where: { $0.id == id }),
            case .copying(let offer, let next) = sessions[index].stage, offer.id == part.copy
        else { return }
        sessions[index].isReading = false
        guard part.index == next else { return pump(index, &ground) }
        sessions[index].stage = .copying(offer, next: next + 1)
        sessions[index].sentSize += part.size
        ground.send(.part(session: id, part), to: sessions[index].peer)
        pump(index, &ground)
    }

    /// Sends what is new to whoever has room for it.
    mutating func pumpAll(_ ground: inout Ground) {
        for index in sessions.indices { pump(index, &ground) }
    }

    private mutating func pump(_ index: Int, _ ground: inout Ground) {
        let session = sessions[index]
        guard !session.isReading, session.sentSize < session.granted else { return }
        switch session.stage {
        case .streaming where !ground.log.tail.ranksAbove(session.sent):
            sessions[index].isLive = true
        case .streaming:
            guard ground.now >= session.nextReadAt else { return }
            sessions[index].isReading = true
            sessions[index].asked = ground.log.tail.sequence
            let size = min(session.granted - session.sentSize, readSizeMax(session, ground))
            ground.actions.append(
                .fetch(
                    session: session.id,
                    of: session.peer,
                    after: session.sent,
                    sizeMax: size
                )
            )
        case .copying(let offer, let next) where next < offer.partCount:
            sessions[index].isReading = true
            ground.actions.append(
                .readPart(session: session.id, copy: offer.id, index: next)
            )
        default:
            break
        }
    }

    /// Sends away who was not heard of for long, and goes on with those whose turn it is.
    mutating func tick(_ ground: inout Ground) {
        let (now, silenceMax) = (ground.now, ground.settings.silenceMax)
        sessions.removeAll { now - $0.lastHeard > silenceMax }
        for index in sessions.indices where !sessions[index].isLive { pump(index, &ground) }
    }

    // MARK: Catching up

    /// Whoever is behind waits so long that all such followers get no more than they may. A
    /// follower that was live once in its session never waits: others may wait for its reports.
    private mutating func pace(_ index: Int, _ size: UInt64, _ ground: Ground) {
        guard !sessions[index].isLive else { return }
        guard sessions[index].sent.sequence < sessions[index].asked else {
            sessions[index].isLive = true
            sessions[index].nextReadAt = 0
            return
        }
        guard let share = share(ground) else { return }
        // A record that is larger than what is read at once must not look like a stall.
        let time = min(min(size, 1 << 40) * 1_000 / share, ground.settings.stallMax / 2)
        sessions[index].nextReadAt = ground.now + time
    }

    /// Bytes a second for each follower that catches up; `nil` for no limit.
    private func share(_ ground: Ground) -> UInt64? {
        guard let rate = ground.settings.catchUpRate, rate > 0 else { return nil }
        return max(1, rate / UInt64(max(1, sessions.count { !$0.isLive })))
    }

    /// What is read at once; for whoever catches up no more than half a second's worth.
    private func readSizeMax(_ session: Session, _ ground: Ground) -> UInt64 {
        let sizeMax = ground.settings.packSizeMax
        guard !session.isLive, let share = share(ground) else { return sizeMax }
        return min(sizeMax, max(1, share / 2))
    }

    /// A follower refused what it was sent. Returns whether it is one of this line's.
    func isSession(_ id: UInt64, _ peer: UniqueID) -> Bool { index(of: id, peer) != nil }

    private func index(of id: UInt64, _ peer: UniqueID) -> Int? {
        sessions.firstIndex { $0.id == id && $0.peer == peer }
    }
}
