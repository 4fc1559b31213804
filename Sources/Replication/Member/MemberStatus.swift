public import StorageEngine

/// How things stand, as one member sees them.
public struct MemberStatus: Sendable, Hashable {
    /// What a member does now.
    public enum Activity: String, Sendable, Hashable {
        /// It leads, and takes writes.
        case leading
        /// It is about to lead: asks, or waits for its store.
        case promoting
        /// Records come from a feeder.
        case following
        /// It knows nobody who could feed it.
        case alone
    }

    /// How far one member is.
    public struct Progress: Sendable, Hashable {
        /// Which member.
        public let member: UniqueID
        /// Whether its acknowledgements count.
        public let isVoter: Bool
        /// The last sequence that reached each point there.
        public let received, wal, disk, applied: UInt64
        /// How far it is behind the leader: in sequences, in bytes of records and in milliseconds
        /// since the oldest record was made that it lacks. The last two as far back as the leader
        /// remembers.
        public let lagSequences, lagBytes, lagMilliseconds: UInt64
    }

    /// Which member says so.
    public let member: UniqueID
    /// What it does.
    public let activity: Activity
    /// Whether its acknowledgements count.
    public let isVoter: Bool
    /// The history; `nil` for a member that never followed.
    public let history: UniqueID?
    /// Who leads, as far as is known; and in which epoch.
    public let leader: UniqueID?
    /// The highest epoch that the member has promised or accepted.
    public let promised: Epoch
    /// Who feeds the member; `nil` for a leader, and for one that is alone.
    public let feeder: UniqueID?
    /// The end of the log.
    public let position: Position
    /// The end of the leader's log, as far as is known.
    public let leaderSequence: UInt64?
    /// The member's own progress, and that of the members behind it: for a leader of all that
    /// follow it.
    public let progress: [Progress]
    /// Voters that do not follow, as the leader sees it.
    public let missing: [UniqueID]
    /// What so many followers as carry a failover promise have on disk; `nil` for who does not
    /// lead, or has made no record yet.
    public let replicatedSequence: UInt64?
    /// Whether fewer followers are waited for than writes ask for.
    public let isDegraded: Bool
    /// Whether the log may lack what the member acknowledged as leader.
    public let isSuspect: Bool
    /// How many callers wait.
    public let waitingCount: Int
    /// Whom writes wait for: voters that do not follow, or lack what is needed of them for the
    /// write that waits longest. Empty while no write waits for a follower.
    public let blocking: [UniqueID]
    /// Why the store cannot be used, until it was opened again.
    public let failure: EngineError?
}

extension Member {
    /// How things stand.
    public var status: MemberStatus {
        lock.with {
            let core = state.core
            let end = core.leaderTail?.sequence
            var progress = [self.progress(of: id, core.watermarks, end)]
            progress += core.reports.map { self.progress(of: $0.member, $0.watermarks, end) }
            let present = core.reports.map(\.member)
            let isLeading = state.leading != nil
            let missing = membership.voters.filter { $0 != id && !present.contains($0) }
            return MemberStatus(
                member: id,
                activity: activity,
                isVoter: membership.isVoter(id),
                history: core.mark.history,
                leader: core.leadership?.leader ?? core.mark.holder,
                promised: core.mark.promised,
                feeder: core.feederID,
                position: core.log.tail.position,
                leaderSequence: end,
                progress: progress,
                missing: isLeading ? missing : [],
                replicatedSequence: core.replicated(by: membership.failoverFollowers, at: .disk),
                isDegraded: core.isDegraded,
                isSuspect: core.isSuspect,
                waitingCount: state.tickets.count,
                blocking: blocking(besides: missing),
                failure: state.failure
            )
        }
    }

    /// Who holds the write that waits longest for followers, with those that do not follow. Needs
    /// the lock.
    private func blocking(besides missing: [UniqueID]) -> [UniqueID] {
        guard let awaited = state.core.awaited else { return [] }
        let behind = state.core.reports.filter { report in
            membership.isVoter(report.member)
                && report.watermarks[awaited.point] < awaited.sequence
        }
        return missing + behind.map(\.member)
    }

    /// Needs the lock.
    private var activity: MemberStatus.Activity {
        if state.leading != nil { return .leading }
        if state.core.isPromoting || state.core.leadership != nil { return .promoting }
        return state.core.feederID == nil || state.engine == nil ? .alone : .following
    }

    /// Needs the lock.
    private func progress(
        of member: UniqueID,
        _ watermarks: Watermarks,
        _ end: UInt64?
    ) -> MemberStatus.Progress {
        let sequence = watermarks.received
        let lag = state.samples.lag(behind: sequence, now: now)
        return MemberStatus.Progress(
            member: member,
            isVoter: membership.isVoter(member),
            received: sequence,
            wal: watermarks.wal,
            disk: watermarks.disk,
            applied: watermarks.applied,
            lagSequences: max(end ?? 0, sequence) - sequence,
            lagBytes: lag.bytes,
            lagMilliseconds: lag.time
        )
    }
}

/// Where the log ended at some times in the past, so that a lag has an age and a size.
///
/// Thread safety: none; a value.
struct LagSamples: Sendable {
    private struct Sample {
        let time: Tick
        let sequence: UInt64
        let bytes: UInt64
    }

    private var samples: [Sample] = []
    private static let countMax = 2_048

    /// Notes where the log ends now. When there are many samples every other one is forgotten.
    mutating func add(_ points: Engine.LogPoints, now: Tick) {
        guard samples.last?.sequence != points.readable else { return }
        samples.append(Sample(time: now, sequence: points.readable, bytes: points.bytes))
        guard samples.count > Self.countMax else { return }
        samples = samples.enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
    }

    /// How many bytes came behind a sequence, and how long ago the first of them did.
    func lag(behind sequence: UInt64, now: Tick) -> (bytes: UInt64, time: UInt64) {
        guard let last = samples.last, last.sequence > sequence else { return (0, 0) }
        let index = samples.firstIndex { $0.sequence > sequence } ?? 0
        let before = samples[max(index, 1) - 1]
        let bytes = before.sequence <= sequence ? before.bytes : 0
        return (last.bytes - min(bytes, last.bytes), now - min(samples[index].time, now))
    }
}
