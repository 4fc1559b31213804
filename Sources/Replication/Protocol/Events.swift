package import StorageEngine

/// A point that a write can reach at a follower.
public enum ReplicaPoint: UInt8, Hashable, Sendable, CaseIterable {
    /// In the follower's memory: lost when its process dies.
    case received
    /// Accepted by the follower's kernel.
    case wal
    /// On the follower's disk.
    case disk
    /// Readable there.
    case applied
}

/// How many followers a write waits for, besides its local point.
public enum Requirement: Hashable, Sendable {
    /// No follower: the local point alone counts.
    case none
    /// So many distinct voters besides the leader.
    case followers(Int, at: ReplicaPoint)
    /// Every voter but the leader, whether it is there or not.
    case allFollowers(at: ReplicaPoint)
}

/// A write that is in the leader's log, and waits for its ack.
package struct Write: Hashable, Sendable {
    /// The host's name for it.
    package var ticket: UInt64
    package var sequence: UInt64
    package var local: AckPoint
    package var requirement: Requirement

    package init(ticket: UInt64, sequence: UInt64, local: AckPoint, requirement: Requirement) {
        self.ticket = ticket
        self.sequence = sequence
        self.local = local
        self.requirement = requirement
    }
}

/// What a write had reached when its wait ended.
package struct ReplicaReceipt: Hashable, Sendable {
    package var epoch: Epoch
    package var sequence: UInt64
    /// The highest local point reached; `nil` when the write is not in the log.
    package var local: AckPoint?
    /// How many voters, the leader not counted, had it at each point.
    package var followers: [Int]
    /// Whether the requirement was lowered because the store is degraded.
    package var isDegraded: Bool
}

package enum Outcome: Hashable, Sendable {
    /// All that was asked for is reached; or, in a degraded store, the floor.
    case acked(ReplicaReceipt)
    /// The write is in the leader's log. Whether it stays in the history is not known.
    case indeterminate(ReplicaReceipt, Doubt)
}

package enum Doubt: Hashable, Sendable {
    case tooFewFollowers
    case noLongerLeading
}

/// What happened, told by the host.
package enum CoreEvent: Sendable {
    /// The first event. `isClean`: the log ends where the last opening closed it.
    case opened(isClean: Bool)
    case tick
    case received(Message, from: UniqueID)

    // The local log.
    /// The leader's own records; the first one of an epoch begins it. Only while
    /// ``MemberCore/leadership`` says so: the host makes records under the lock under which it
    /// gives events.
    case appended(Tail)
    /// Further points of the log. A generation that is over is a late completion: not counted.
    case reached(Watermarks, generation: UInt64)
    /// The log was cut back, durably; or it cannot be.
    case cut(CutResult, generation: UInt64)
    case fetched(session: UInt64, Fetched)
    case copyOpened(session: UInt64, CopyOffer)
    case partRead(session: UInt64, CopyPart)
    /// A part of a copy that was to be stored is, and is not in memory any more. For each one, in
    /// order.
    case partStored(CopyPart)
    /// The copy is the store's state now, durably.
    case copyAdopted(generation: UInt64)

    // Callers.
    case write(Write)
    /// Completes when the leader has proof that nobody replaced it before this event, and that all
    /// that its log held is held by so many followers.
    case confirm(ticket: UInt64, Requirement)

    // Operators.
    /// Begins a history, for a voter that has none. With patience the other voters are asked that
    /// long, or until all have answered; one that has a history ends it.
    case bootstrap(history: UniqueID, patience: Tick = 0)
    case promote(acceptLoss: Bool)
}

package enum CutResult: Hashable, Sendable {
    case done(Watermarks)
    /// Records behind the end are in segments already.
    case impossible
    /// The log holds other records there.
    case diverged
}

package enum Fetched: Hashable, Sendable {
    case pack(Pack)
    /// The log no longer reaches back that far.
    case trimmed
    /// The log holds no such end.
    case diverged
}

/// What the host is to do, in order: what comes behind a ``persist(_:)`` leaves, and takes effect,
/// only when the mark is durable.
package enum CoreAction: Sendable {
    case persist(Mark)
    case send(Message, to: UniqueID)

    // The local log.
    case apply(Pack, generation: UInt64)
    case cut(to: Tail, generation: UInt64)
    /// Records behind an end for a follower, at most so many bytes, but at least one.
    case fetch(session: UInt64, of: UniqueID, after: Tail, sizeMax: UInt64)
    /// A copy of this end of the log or a later one, with nothing that is not on this member's own
    /// disk, and never one that was made before the log was cut back. A delta begins exactly at
    /// this end; `isWhole`: the follower's state is not what was there, so a delta will not do.
    case openCopy(session: UInt64, since: Tail, resuming: UInt64?, isWhole: Bool)
    case readPart(session: UInt64, copy: UInt64, index: UInt64)
    case storePart(CopyPart, CopyOffer)
    case adoptCopy(CopyOffer, generation: UInt64)

    // Leading.
    /// From now on writes may be made, in this epoch, behind its foundation.
    case lead(Leadership)
    case stopLeading
    /// Make a record without operations, so that the epoch begins.
    case appendNoOp
    case complete(ticket: UInt64, Outcome)

    case notice(Notice)
}

/// What people want to know of.
package enum Notice: Hashable, Sendable {
    case following(UniqueID, Leadership)
    case lostFeeder(UniqueID)
    case refused(UniqueID, Refusal.Reason)
    case gap(from: UniqueID)
    case cutting(from: Tail, to: Tail)
    case copying(CopyOffer)
    case degraded(followers: Int, at: ReplicaPoint)
    case restored
    case aheadReport(UniqueID)
    case suspect
    case noLongerSuspect
    case steppedDown(for: Epoch)
    case consulting(Epoch?)
    case adopting(from: UniqueID, Tail)
    case promotionFailed
    case lossAccepted(consulted: Int)
    case wrongHistory(UniqueID)
    /// No history was begun: that member has one, or is about to begin one.
    case historyFound(at: UniqueID)
    /// A history was begun, and these voters could not be asked.
    case begunWithout([UniqueID])
}
