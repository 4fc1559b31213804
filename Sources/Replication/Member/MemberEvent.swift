public import StorageEngine

/// Something that happened to a member, for operators and their tools.
@nonexhaustive
public enum MemberEvent: Sendable, Hashable {
    /// The member leads, and its store accepts writes.
    case leading(Epoch)
    /// The member led, and another one holds a later epoch.
    case steppedDown(for: Epoch)
    /// The member is fed by another one, which is the leader or follows it.
    case following(leader: UniqueID, feeder: UniqueID)
    /// Nothing was heard of the member's feeder, or it cannot feed.
    case lostFeeder(UniqueID)
    /// Another member refused this one, or sent what is not taken.
    case refused(UniqueID, String)
    /// The other member has another history.
    case wrongHistory(UniqueID)
    /// The member was to begin a history and does not: that one has one, or is about to begin one.
    case historyFound(at: UniqueID)
    /// The member begins a history, and these voters could not be asked whether they have one.
    case begunWithout([UniqueID])
    /// Records are missing between the log and what a feeder sent; it is asked again.
    case gap(from: UniqueID)
    /// The log is cut back: the leader's went another way. What is cut is in `quarantine/`.
    case cutting(from: Position, to: Position)
    /// A copy of the whole state comes, up to a position, in so many parts.
    case copying(to: Position, parts: UInt64)
    /// What has changed since the end of the log comes, up to a position, in so many parts: the
    /// newest value of each key.
    case copyingChanges(to: Position, parts: UInt64)
    /// What has changed cannot be copied for a follower, mostly for lack of space: it is offered
    /// the whole state, which shares the store's files and takes hardly any.
    case changesNotCopied(EngineError)
    /// Fewer followers than writes ask for are waited for, from now on.
    case degraded(followers: Int, at: ReplicaPoint)
    /// As many followers as writes ask for are waited for again.
    case restored
    /// A member claims to have what was never written.
    case aheadReport(UniqueID)
    /// The log may lack what the member acknowledged as leader.
    case suspect
    /// The log has on disk what a later leader has.
    case noLongerSuspect
    /// The voters are asked how things stand; or, with an epoch, to promise it.
    case consulting(Epoch?)
    /// The log of another voter is fetched before the member leads: it has more.
    case adopting(from: UniqueID, to: Position)
    /// Too few voters answered.
    case promotionFailed
    /// The member leads although fewer voters than needed were consulted, as the operator wished.
    case lossAccepted(consulted: Int)
    /// The store failed; what was being done is tried again, or the store is opened again.
    case storeFailed(EngineError)
}

extension Member {
    /// What happens to the member from now on; the stream ends when it is closed. A listener that
    /// is more than 1,000 events behind loses the oldest ones.
    public var events: AsyncStream<MemberEvent> { broadcast.listen() }

    /// Tells what the core noticed. Needs the lock.
    func note(_ notice: Notice) {
        broadcast.send(MemberEvent(notice))
        if case .promotionFailed = notice { failPromotion() }
        if case .steppedDown = notice { failPromotion() }
        if case .historyFound(let member) = notice {
            state.otherHistory = member
            changed.broadcast()
        }
    }
}

extension MemberEvent {
    init(_ notice: Notice) {
        switch notice {
        case .following(let feeder, let leadership):
            self = .following(leader: leadership.leader, feeder: feeder)
        case .lostFeeder(let feeder): self = .lostFeeder(feeder)
        case .refused(let member, let reason): self = .refused(member, "\(reason)")
        case .gap(let feeder): self = .gap(from: feeder)
        case .cutting(let from, let end): self = .cutting(from: from.position, to: end.position)
        case .copying(let offer) where offer.kind == .delta:
            self = .copyingChanges(to: offer.log.tail.position, parts: offer.partCount)
        case .copying(let offer):
            self = .copying(to: offer.log.tail.position, parts: offer.partCount)
        case .degraded(let followers, let point): self = .degraded(followers: followers, at: point)
        case .restored: self = .restored
        case .aheadReport(let member): self = .aheadReport(member)
        case .suspect: self = .suspect
        case .noLongerSuspect: self = .noLongerSuspect
        case .steppedDown(let epoch): self = .steppedDown(for: epoch)
        case .consulting(let epoch): self = .consulting(epoch)
        case .adopting(let source, let end): self = .adopting(from: source, to: end.position)
        case .promotionFailed: self = .promotionFailed
        case .lossAccepted(let consulted): self = .lossAccepted(consulted: consulted)
        case .wrongHistory(let member): self = .wrongHistory(member)
        case .historyFound(let member): self = .historyFound(at: member)
        case .begunWithout(let voters): self = .begunWithout(voters)
        }
    }
}
