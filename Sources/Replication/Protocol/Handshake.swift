import StorageEngine

/// What a follower's log needs to be on the leader's line.
package enum Course: Hashable, Sendable {
    /// Nothing: go on behind its end.
    case resume
    /// To be cut back to the last place that both have.
    case cut(to: Tail)
    /// The feeder does not have enough of the log to know.
    case behind
    /// The follower has records of the leader's own epoch that the leader does not have: never cut.
    case ahead
    /// Equal places with other records, within one epoch: damage, not divergence.
    case foreign
}

/// Where a follower's log and its leader's agree.
///
/// Two logs with an equal entry in their epoch tables hold the same records up to the entry, since
/// the entry has the hash. Within the epoch one is the beginning of the other, since one member
/// alone makes its records, once each. So the last place both have is the nearer end of the last
/// epoch that they have in common: not what was acknowledged, and not what was committed.
package enum Handshake {
    /// What a follower is to do. `isLeader` says whether the feeder is the leader itself, or a relay,
    /// whose log may end before the leader's.
    package static func course(
        of follower: LogOutline,
        behind feeder: LogOutline,
        under leadership: Leadership,
        isLeader: Bool
    ) -> Course {
        guard !follower.isEmpty else { return .resume }
        var feeder = feeder
        let isOpen = feeder.table.last?.epoch == leadership.epoch
        let isSettled = isOpen || feeder.tail == leadership.foundation
        // The leader's next record begins its epoch here: nothing of an older one comes behind.
        if isSettled, !isOpen { feeder.begin(leadership.epoch) }
        let shared = zip(feeder.table, follower.table).prefix { $0 == $1 }.count
        guard shared > 0 else { return isSettled ? .cut(to: .zero) : .behind }
        let last = shared - 1
        let followerEnd = follower.end(ofEntry: last)
        let feederEnd = feeder.end(ofEntry: last)
        let isWhole = shared == follower.table.count
        if followerEnd.sequence == feederEnd.sequence, followerEnd != feederEnd { return .foreign }
        if isWhole, followerEnd.sequence <= feederEnd.sequence { return .resume }
        guard shared == feeder.table.count else {
            return .cut(to: followerEnd.sequence <= feederEnd.sequence ? followerEnd : feederEnd)
        }
        guard isSettled, isLeader else { return .behind }
        // The last common epoch is the leader's own.
        return isWhole ? .ahead : .foreign
    }
}
