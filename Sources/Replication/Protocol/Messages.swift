package import StorageEngine

/// What members say to each other. Who sent it, the transport knows: from the certificate.
package enum Message: Hashable, Sendable {
    // From a follower to whoever feeds it.
    case hello(Hello)
    case follow(Follow)
    case take(Take)
    case report(Report)
    // From a feeder to its follower.
    case welcome(Welcome)
    case pack(session: UInt64, epoch: Epoch, Pack)
    case offer(session: UInt64, CopyOffer)
    case part(session: UInt64, CopyPart)
    case beat(Beat)
    case refusal(Refusal)
    // Between voters, before one of them leads.
    case consult(Consult)
    case answer(Answer)
}

/// A follower asks to be fed.
package struct Hello: Hashable, Sendable {
    /// `nil` when it has none yet: it will take the feeder's.
    package var history: UniqueID?
    package var member: UniqueID
    package var role: Role
    /// Which opening of the member this is, and which of its greetings: an older one that arrives
    /// late, or again, is no greeting.
    package var incarnation: UInt64
    package var attempt: UInt64
    /// The answer repeats it.
    package var nonce: UInt64
    package var promised: Epoch
    package var holder: UniqueID?
    package var log: LogOutline
    /// Whether it wants the feeder's own log, to lead ``promised`` with it.
    package var isAdopting: Bool
}

/// A feeder answers: this is who leads, this is where we agree.
package struct Welcome: Hashable, Sendable {
    package var nonce: UInt64
    /// Names the session; drawn by the feeder.
    package var session: UInt64
    package var history: UniqueID
    package var leadership: Leadership
    /// The leader and everybody between it and the feeder; the feeder is the last.
    package var route: [UniqueID]
    package var log: LogOutline
    package var course: Course
}

/// Who leads, and the end of its log when it began to. Its first record will come right there.
package struct Leadership: Hashable, Sendable {
    package let epoch: Epoch
    package let leader: UniqueID
    package let foundation: Tail

    package init(epoch: Epoch, leader: UniqueID, foundation: Tail) {
        self.epoch = epoch
        self.leader = leader
        self.foundation = foundation
    }
}

/// A follower is ready: its log ends here, on the leader's line.
package struct Follow: Hashable, Sendable {
    package var session: UInt64
    package var after: Tail
    package var granted: UInt64
    /// It cannot cut its log back, or did not end on the leader's line: only a copy helps.
    package var needsCopy: Bool
    /// A copy that it has some parts of.
    package var copy: UInt64?
}

/// A copy of the state at one place of the log, or (a delta) of what has changed since the end of
/// the follower's log, for a follower whose state is exactly that.
package struct CopyOffer: Hashable, Sendable {
    package enum Kind: UInt8, Hashable, Sendable { case base, delta }

    package var id: UInt64
    package var kind: Kind
    /// The log's outline up to the place; the log of whoever takes the copy continues there.
    package var log: LogOutline
    package var partCount: UInt64

    package init(id: UInt64, kind: Kind, log: LogOutline, partCount: UInt64) {
        self.id = id
        self.kind = kind
        self.log = log
        self.partCount = partCount
    }
}

/// The follower wants the parts from one on.
package struct Take: Hashable, Sendable {
    package var session: UInt64
    package var copy: UInt64
    package var from: UInt64
}

package struct CopyPart: Hashable, Sendable {
    package var copy: UInt64
    package var index: UInt64
    package var size: UInt64
    package var payload: UInt64

    package init(copy: UInt64, index: UInt64, size: UInt64, payload: UInt64) {
        self.copy = copy
        self.index = index
        self.size = size
        self.payload = payload
    }
}

/// The leader is there. Counted by the leader, handed on by relays, never made by them.
package struct Beat: Hashable, Sendable {
    package var session: UInt64
    package var epoch: Epoch
    package var count: UInt64
    /// The end of the leader's log.
    package var tail: Tail
    package var route: [UniqueID]
}

/// How far a member's log got, as sequences. A point reached for one is reached for all before it.
package struct Watermarks: Hashable, Sendable {
    package var received: UInt64 = 0
    package var wal: UInt64 = 0
    package var disk: UInt64 = 0
    package var applied: UInt64 = 0

    package init() {}

    package init(all sequence: UInt64) {
        received = sequence
        wal = sequence
        disk = sequence
        applied = sequence
    }

    package subscript(point: ReplicaPoint) -> UInt64 {
        switch point {
        case .received: received
        case .wal: wal
        case .disk: disk
        case .applied: applied
        }
    }

    /// Takes the further of both, point by point.
    package mutating func advance(to other: Watermarks) {
        received = max(received, other.received)
        wal = max(wal, other.wal)
        disk = max(disk, other.disk)
        applied = max(applied, other.applied)
    }

    /// What is left of them when the log is cut back.
    package func limited(to sequence: UInt64) -> Watermarks {
        var limited = self
        limited.received = min(received, sequence)
        limited.wal = min(wal, sequence)
        limited.disk = min(disk, sequence)
        limited.applied = min(applied, sequence)
        return limited
    }
}

/// One member's report, as it made it; relays hand it on unchanged.
package struct MemberReport: Hashable, Sendable {
    package var member: UniqueID
    package var incarnation: UInt64
    /// The epoch of the leader on whose line the log is.
    package var epoch: Epoch
    package var watermarks: Watermarks
    /// The last beat of that leader that the member saw.
    package var beat: UInt64

    package init(
        member: UniqueID,
        incarnation: UInt64,
        epoch: Epoch,
        watermarks: Watermarks,
        beat: UInt64
    ) {
        self.member = member
        self.incarnation = incarnation
        self.epoch = epoch
        self.watermarks = watermarks
        self.beat = beat
    }
}

/// A follower says how far it is, and how far the members behind it are.
package struct Report: Hashable, Sendable {
    package var session: UInt64
    package var promised: Epoch
    package var holder: UniqueID?
    /// How many bytes the feeder may have sent in this session.
    package var granted: UInt64
    /// Empty while the log is not on the leader's line.
    package var entries: [MemberReport]
}

package struct Refusal: Hashable, Sendable {
    package enum Reason: Hashable, Sendable {
        /// Another history: nothing of it is wanted, nothing is given.
        case wrongStore
        /// A leader of a lower epoch, or of an equal one that another member holds.
        case fenced(by: Epoch, holder: UniqueID?)
        /// Ask that one.
        case notLeader(hint: UniqueID?)
        /// The feeder has less than the follower, and cannot know what the leader has.
        case behind(Tail)
        /// The follower has records of this very epoch that its leader does not have.
        case ahead(Tail)
        /// Equal places, other records.
        case diverged
        /// The feeder is itself fed by the follower.
        case loop
        /// The feeder's membership has another role for the follower.
        case wrongRole
        case busy
        case malformed
    }

    /// The greeting's nonce, or the session.
    package var about: UInt64
    package var reason: Reason
}

/// A voter wants to lead.
package struct Consult: Hashable, Sendable {
    package var history: UniqueID
    package var nonce: UInt64
    /// `nil`: only how things stand. Otherwise: promise to listen to no lower epoch.
    package var epoch: Epoch?
}

/// What a consulted voter says; a promise is durable before it is given.
package struct Answer: Hashable, Sendable {
    package var nonce: UInt64
    /// The epoch that was promised.
    package var granted: Epoch?
    package var promised: Epoch
    package var holder: UniqueID?
    package var isSuspect: Bool
    package var tail: Tail
}
